// Stochastic gradient descent on Gaussian input, `count` steps in one launch: a block per seed, a thread per sample.
//
// The steps are those of kernels/minibatch.py, and the inputs those of core/counter.py. NVRTC compiles this for one
// `BatchPlan` of cuda_batches.py, given by macros: STUDENTS, UNITS (students, then teachers with minus their outputs),
// FEATURES, OUTPUT (FIXED, TRAINED or TIED), SINGLE (float32 weights) and THREADS. The constants FIXED, TRAINED, TIED,
// GAMMA, FIRST, SECOND, TAIL, EDGES (257) and RATIOS (256) are put before it by `batch_source` there. THREADS samples at a time are drawn into shared memory, and each thread
// then adds them to its entries of the gradient, in their order: a batch is never in global memory, and a seed's bits
// depend neither on the other seeds nor on how the threads run. All in ASCII: CuPy writes it in the locale's encoding.

typedef unsigned long long Word;

__device__ __forceinline__ Word mixed(Word bits) {  // SplitMix64's word of a counter
    bits = (bits ^ (bits >> 30)) * FIRST;
    bits = (bits ^ (bits >> 27)) * SECOND;
    return bits ^ (bits >> 31);
}

__device__ __forceinline__ double above_zero(Word bits) {  // uniform in (0, 1]
    return (double)((bits >> 11) + 1) * 0x1p-53;
}

// The normal number of a counter: `normals` of core/counter.py.
__device__ double normal(Word counter) {
    Word bits = mixed(counter);
    while (true) {
        const int layer = (int)(bits & 255);
        const double share = (double)((long long)bits >> 11) * 0x1p-52;
        double x = share * EDGES[layer];
        if (fabs(share) < RATIOS[layer]) return x;
        if (layer == 0) {
            while (true) {
                bits = mixed(bits + GAMMA);
                const double beyond = -log(above_zero(bits)) / TAIL;
                bits = mixed(bits + GAMMA);
                if (-2.0 * log(above_zero(bits)) > beyond * beyond) return share > 0.0 ? TAIL + beyond : -(TAIL + beyond);
            }
        }
        bits = mixed(bits + GAMMA);
        const double lower = exp(0.5 * (x * x - EDGES[layer] * EDGES[layer]));
        const double upper = exp(0.5 * (x * x - EDGES[layer + 1] * EDGES[layer + 1]));
        if (lower + above_zero(bits) * (upper - lower) < 1.0) return x;
        bits = mixed(bits + GAMMA);
    }
}

__device__ __forceinline__ double rounded(double x) { return SINGLE ? (double)(float)x : x; }

__device__ double length_of(const double* vector) {
    double largest = 0.0, square = 0.0;
    for (int i = 0; i < FEATURES; i++) largest = fmax(largest, fabs(vector[i]));
    if (!(largest > 0.0)) return largest;
    for (int i = 0; i < FEATURES; i++) square = fma(vector[i] / largest, vector[i] / largest, square);
    return largest * sqrt(square);
}

// vectors (seed, unit, feature) and outputs (seed, unit), whose students move; keys (seed, step). below, at_zero, above:
// sigma' there; rate: the step size times the factor of sum r^2 / 2B; constant and linear: what the profile removes.
extern "C" __global__ void __launch_bounds__(THREADS)
    descend_on_batches(double* vectors, double* all_outputs, const Word* keys, double scale, double below,
                       double at_zero, double above, double rate, double constant, double linear, long long batch,
                       long long count) {
    extern __shared__ double shared[];
    const int t = threadIdx.x, row = FEATURES | 1, column = THREADS | 1, entries = STUDENTS * FEATURES;
    double* const weights = shared;                       // (unit, feature)
    double* const outputs = weights + UNITS * FEATURES;   // (unit,)
    double* const coefficients = outputs + UNITS;         // (unit,)
    double* const growth = coefficients + UNITS;          // (unit,): lengths, then the outputs' gradients
    double* const removed = growth + UNITS;               // (feature,)
    double* const gradient = removed + FEATURES;          // (student, feature)
    double* const inputs = gradient + entries;            // (sample, row)
    double* const forces = inputs + THREADS * row;        // (student, column)
    double* const given = vectors + (long long)blockIdx.x * UNITS * FEATURES;
    for (int e = t; e < UNITS * FEATURES; e += THREADS) weights[e] = given[e];
    for (int p = t; p < UNITS; p += THREADS) outputs[p] = all_outputs[(long long)blockIdx.x * UNITS + p];
    rate *= scale / (double)batch;
    __syncthreads();
    for (long long step = 0; step < count; step++) {
        const Word key = keys[blockIdx.x * count + step];
        for (int p = t; p < UNITS; p += THREADS) {
            coefficients[p] = p < STUDENTS ? scale * outputs[p] : outputs[p];
            growth[p] = constant > 0.0 ? coefficients[p] * length_of(weights + p * FEATURES) : 0.0;
        }
        __syncthreads();
        double mean = 0.0;
        if (constant > 0.0)
            for (int p = 0; p < UNITS; p++) mean = fma(constant, growth[p], mean);
        for (int i = t; i < FEATURES; i += THREADS) {
            double sum = 0.0;
            if (linear > 0.0)
                for (int p = 0; p < UNITS; p++) sum = fma(coefficients[p], weights[p * FEATURES + i], sum);
            removed[i] = linear * sum;
        }
        for (int e = t; e < entries; e += THREADS) gradient[e] = 0.0;
        __syncthreads();
        for (long long begin = 0; begin < batch; begin += THREADS) {
            const int size = batch - begin < THREADS ? (int)(batch - begin) : THREADS;
            if (t < size) {
                double* const input = inputs + t * row;
                Word counter = key + (Word)(begin + t) * FEATURES * GAMMA;
#pragma unroll 1
                for (int i = 0; i < FEATURES; i++) input[i] = normal(counter += GAMMA);
                double x[FEATURES], residual = -mean;
#pragma unroll
                for (int i = 0; i < FEATURES; i++) {
                    x[i] = input[i];
                    residual = fma(-removed[i], x[i], residual);
                }
                for (int p = 0; p < UNITS; p++) {
                    double z = 0.0;
#pragma unroll
                    for (int i = 0; i < FEATURES; i++) z = fma(weights[p * FEATURES + i], x[i], z);
                    const double slope = z > 0.0 ? above : z < 0.0 ? below : at_zero;
                    residual = fma(coefficients[p], z * slope, residual);
                    if (p < STUDENTS) forces[p * column + t] = slope;
                }
                for (int p = 0; p < STUDENTS; p++) forces[p * column + t] *= residual;
            }
            __syncthreads();
            for (int e = t; e < entries; e += THREADS) {
                const double* const force = forces + e / FEATURES * column;
                const double* const input = inputs + e % FEATURES;
                double sum = gradient[e];
                for (int k = 0; k < size; k++) sum = fma(force[k], input[k * row], sum);
                gradient[e] = sum;
            }
            __syncthreads();
        }
        if (OUTPUT != FIXED)  // dL/da_j = <w_j, D_j> by homogeneity
            for (int p = t; p < STUDENTS; p += THREADS) {
                double sum = 0.0;
                for (int e = p * FEATURES; e < (p + 1) * FEATURES; e++) sum = fma(weights[e], gradient[e], sum);
                growth[p] = sum;
            }
        __syncthreads();
        for (int e = t; e < entries; e += THREADS) {
            const int p = e / FEATURES;
            double moved = outputs[p] * gradient[e];
            if (OUTPUT == TIED && outputs[p] > 0.0) moved += growth[p] * (weights[e] / outputs[p]);
            weights[e] = rounded(weights[e] - rate * moved);
        }
        __syncthreads();
        for (int p = t; p < STUDENTS; p += THREADS) {
            if (OUTPUT == TRAINED) outputs[p] = rounded(outputs[p] - rate * growth[p]);
            if (OUTPUT == TIED) outputs[p] = rounded(length_of(weights + p * FEATURES));
        }
        __syncthreads();
    }
    for (int e = t; e < entries; e += THREADS) given[e] = weights[e];
    for (int p = t; p < STUDENTS; p += THREADS) all_outputs[(long long)blockIdx.x * UNITS + p] = outputs[p];
}
