// Gradient descent on Gaussian input, `count` steps in one launch: a lane a student, some seeds a block.
//
// The formulas are those of gaussian.py. NVRTC compiles this for one `Plan` of cuda_population.py, given by macros:
// STUDENTS, UNITS (students, then teachers), COORDINATES, OUTPUT (0 fixed, 1 trained, 2 tied); SEEDS and THREADS of a
// block, STRIDE of a seed in shared memory. A lane keeps its student's direction and force in registers and reads the
// others' directions from shared memory, where the lanes of a seed read the same numbers at the same time. Lanes never
// mix seeds, so a seed's bits do not depend on the others. All in ASCII: CuPy writes it in the locale's encoding.

#define TINY 0x1p-1022       // the smallest normal number
#define SMALL 0x1p-400       // lengths outside of [SMALL, LARGE] are squared after a shift
#define LARGE 0x1p400
#define SHIFT 0x1p800
#define PI 3.141592653589793

struct __align__(16) Pair {
    double x, y;
};

#ifndef RECIPROCAL_ROOT
__device__ __forceinline__ double reciprocal_root(double x) {  // 1/sqrt(x) to 20 bits
    double y;
    asm("rsqrt.approx.ftz.f64 %0, %1;" : "=d"(y) : "d"(x));
    return y;
}
#endif

// sqrt(x) to an ulp and without a branch, so that the pairs' instructions can overlap; 0 below TINY.
__device__ __forceinline__ double root(double x) {
    double y = reciprocal_root(x);
    double error = fma(-x * y, y, 1.0);
    y = fma(y * error, fma(0.375, error, 0.5), y);
    double length = x * y;
    length = fma(fma(-length, length, x), 0.5 * y, length);
    return x < TINY ? 0.0 : length;
}

// The angle in [0, pi], and its sine, from the squared distance of two directions: as `angle` of
// compiled_population.py, which derives it.
__device__ __forceinline__ double angle(double square, double* sine) {
    double rest = 4.0 - square;
    rest = rest < 0.0 ? 0.0 : rest;
    bool far = rest < square;
    double c = far ? rest : square;
    double y = c * c;
    double even = fma(y, -6.459328421721786e-11, -2.2513930216782314e-09);
    double odd = fma(y, 4.097889497209511e-12, 4.845778183922469e-10);
    even = fma(even, y, -1.689714119889943e-08);
    odd = fma(odd, y, 7.234667776669383e-09);
    even = fma(even, y, -3.958485306828863e-08);
    odd = fma(odd, y, 2.982622550322346e-08);
    even = fma(even, y, -2.5097202827776743e-08);
    odd = fma(odd, y, 4.314362098958647e-08);
    even = fma(even, y, 1.6676863197192948e-07);
    odd = fma(odd, y, 5.757062922890993e-08);
    even = fma(even, y, 4.2356714665913565e-06);
    odd = fma(odd, y, 8.556623559612829e-07);
    even = fma(even, y, 0.0001186794526627867);
    odd = fma(odd, y, 2.184796208250567e-05);
    even = fma(even, y, 0.004687499999951002);
    odd = fma(odd, y, 0.0006975446441437162);
    even = fma(even, y, 1.0);
    odd = fma(odd, y, 0.04166666666666741);
    double near = root(c) * fma(odd, c, even);
    *sine = 0.5 * root(square * rest);
    return far ? PI - near : near;
}

// u/|u| into `unit`, 0 for 0; returns |u|.
__device__ __forceinline__ double place(const double* vector, double* unit) {
    double square = 0.0, shift = 1.0, back = 1.0;
#pragma unroll
    for (int d = 0; d < COORDINATES; d++) square = fma(vector[d], vector[d], square);
    if (!(square > SMALL * SMALL && square < LARGE * LARGE)) {
        double largest = 0.0;
#pragma unroll
        for (int d = 0; d < COORDINATES; d++) {
            double size = vector[d] < 0.0 ? -vector[d] : vector[d];
            largest = largest < size ? size : largest;
        }
        if (largest < SMALL) shift = SHIFT, back = 1.0 / SHIFT;
        if (LARGE < largest) shift = 1.0 / SHIFT, back = SHIFT;
        square = 0.0;
#pragma unroll
        for (int d = 0; d < COORDINATES; d++) square = fma(shift * vector[d], shift * vector[d], square);
    }
    double length = sqrt(square);
    double inverse = length > 0.0 ? 1.0 / length : 0.0;
#pragma unroll
    for (int d = 0; d < COORDINATES; d++) unit[d] = shift * vector[d] * inverse;
    return length * back;
}

// vectors (seed, unit, coordinate) and outputs (seed, unit) in place; scale: s; linear, curved, constant: A, B, D.
extern "C" __global__ void __launch_bounds__(THREADS) descend(
    double* vectors, double* outputs, double scale, double linear, double curved, double constant,
    double step_size, double weight_decay, long long seeds, long long count) {
    const int row = (COORDINATES + 1) / 2 * 2;  // pairs are read at even places
    const int odd_row = COORDINATES | 1;        // each lane walks a row of its own, in a bank of its own
    extern __shared__ __align__(16) double shared[];

    const int slot = threadIdx.x / STUDENTS, i = threadIdx.x % STUDENTS;
    const long long seed = (long long)blockIdx.x * SEEDS + slot;
    const bool working = slot < SEEDS && seed < seeds;
    double* const units = shared + (slot < SEEDS ? slot : 0) * STRIDE;  // directions (unit, coordinate)
    double* const students = units + UNITS * row;                       // w (student, coordinate)
    double* const mass = students + STUDENTS * odd_row;                 // C (unit,)
    double* const coefficient = mass + UNITS;                           // c (student,)
    double* const held = coefficient + STUDENTS;                        // the teachers' part of r
    double* const residual = held + COORDINATES;                        // r
    double* const vector = students + i * odd_row;
    double* const given = vectors + seed * UNITS * COORDINATES;  // not to be read unless working
    linear *= 2.0, curved *= 2.0, constant *= 2.0;

    double own[COORDINATES], force[COORDINATES], output = 0.0;
    if (working) {
        output = outputs[seed * UNITS + i];
        for (int d = 0; d < COORDINATES; d++) vector[d] = given[i * COORDINATES + d];
        for (int q = STUDENTS + i; q < UNITS; q += STUDENTS)
            mass[q] = outputs[seed * UNITS + q] * place(given + q * COORDINATES, units + q * row);
        for (int d = i; d < COORDINATES; d += STUDENTS) {
            held[d] = 0.0;
            for (int q = STUDENTS; q < UNITS; q++)
                held[d] = fma(outputs[seed * UNITS + q], given[q * COORDINATES + d], held[d]);
        }
    }
    for (long long step = 0; step < count; step++) {
        double length = 0.0;
        if (working) {
            length = place(vector, own);
            if (OUTPUT == 2) output = length;
#pragma unroll
            for (int d = 0; d < COORDINATES; d++) units[i * row + d] = own[d];
            mass[i] = scale * output * length;
            coefficient[i] = scale * output;
        }
        __syncthreads();
        if (working)
            for (int d = i; d < COORDINATES; d += STUDENTS) {
                double sum = 0.0;
#pragma unroll
                for (int p = 0; p < STUDENTS; p++) sum = fma(coefficient[p], students[p * odd_row + d], sum);
                residual[d] = sum + held[d];
            }
        __syncthreads();
        if (working) {
            double along = 0.0, total = 0.0;
#pragma unroll
            for (int d = 0; d < COORDINATES; d++) force[d] = 0.0;
#pragma unroll 2
            for (int q = 0; q < UNITS; q++) {
                const double* const other = units + q * row;
                double first = 0.0, second = 0.0, sine;
#pragma unroll
                for (int d = 0; d + 1 < COORDINATES; d += 2) {
                    Pair pair = *(const Pair*)(other + d);
                    double x = own[d] - pair.x, y = own[d + 1] - pair.y;
                    first = fma(x, x, first);
                    second = fma(y, y, second);
                }
                if (COORDINATES % 2) {
                    double x = own[COORDINATES - 1] - other[COORDINATES - 1];
                    first = fma(x, x, first);
                }
                double pull = angle(first + second, &sine) * mass[q];
                along = fma(sine, mass[q], along);
                total += mass[q];
#pragma unroll
                for (int d = 0; d + 1 < COORDINATES; d += 2) {
                    Pair pair = *(const Pair*)(other + d);
                    force[d] = fma(pull, pair.x, force[d]);
                    force[d + 1] = fma(pull, pair.y, force[d + 1]);
                }
                if (COORDINATES % 2)
                    force[COORDINATES - 1] = fma(pull, other[COORDINATES - 1], force[COORDINATES - 1]);
            }
            along = curved * along - constant * total;
            double radial = 0.0;
#pragma unroll
            for (int d = 0; d < COORDINATES; d++) {
                force[d] = linear * residual[d] + along * own[d] - curved * force[d];
                radial = fma(own[d], force[d], radial);
            }
            const double pace = length > 0.0 ? scale * step_size : 0.0;
            const double rate = pace * output, decay = (OUTPUT == 2 ? 2.0 : 1.0) * step_size * weight_decay;
            radial *= pace * length;
            const double inward = OUTPUT == 2 ? radial : 0.0;
#pragma unroll
            for (int d = 0; d < COORDINATES; d++)
                vector[d] -= rate * force[d] + decay * vector[d] + inward * own[d];
            if (OUTPUT == 1) output -= radial + decay * output;
        }
        __syncthreads();
    }
    if (working) {
        for (int d = 0; d < COORDINATES; d++) given[i * COORDINATES + d] = vector[d];
        outputs[seed * UNITS + i] = output;
    }
}
