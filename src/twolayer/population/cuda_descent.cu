// Gradient descent on Gaussian input, `count` steps in one launch: a lane a student, some seeds a block.
//
// The formulas are those of closed_form.py. NVRTC compiles this for one `Plan` of cuda_descent.py, given by macros:
// STUDENTS, UNITS (students, then teachers), COORDINATES, OUTPUT (FIXED, TRAINED or TIED); SEEDS and THREADS of a
// block, STRIDE of a seed in shared memory. The constants that it shares with the other kernels, FIXED, TRAINED, TIED,
// SMALL, LARGE, SHIFT and P0 to P19, are put before it by `source` of cuda_descent.py. A lane keeps its student's direction and force in registers and reads the
// others' directions from shared memory, where the lanes of a seed read the same numbers at the same time. Lanes never
// mix seeds, so a seed's bits do not depend on the others. All in ASCII: CuPy writes it in the locale's encoding.

#define TINY 0x1p-1022  // the smallest normal number
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

// The angle in [0, pi], and its sine, from the squared distance of two directions: as `angle` of numba_descent.py,
// which derives it, with the polynomial of angle_polynomial.py.
__device__ __forceinline__ double angle(double square, double* sine) {
    double rest = 4.0 - square;
    rest = rest < 0.0 ? 0.0 : rest;
    bool far = rest < square;
    double c = far ? rest : square;
    double y = c * c;
    double even = fma(y, P18, P16);
    double odd = fma(y, P19, P17);
    even = fma(even, y, P14);
    odd = fma(odd, y, P15);
    even = fma(even, y, P12);
    odd = fma(odd, y, P13);
    even = fma(even, y, P10);
    odd = fma(odd, y, P11);
    even = fma(even, y, P8);
    odd = fma(odd, y, P9);
    even = fma(even, y, P6);
    odd = fma(odd, y, P7);
    even = fma(even, y, P4);
    odd = fma(odd, y, P5);
    even = fma(even, y, P2);
    odd = fma(odd, y, P3);
    even = fma(even, y, P0);
    odd = fma(odd, y, P1);
    double near = root(c) * fma(odd, c, even);
    *sine = 0.5 * root(square * rest);
    return far ? PI - near : near;
}

// u/|u| into `unit`, 0 for 0; returns |u|. Lengths outside of [SMALL, LARGE] are squared after a shift.
__device__ __forceinline__ double normalize(const double* vector, double* unit) {
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
    const int row = (COORDINATES + 1) / 2 * 2;  // pairs are read at even offsets
    const int odd_row = COORDINATES | 1;        // each lane reads another row, in another bank
    extern __shared__ __align__(16) double shared[];

    const int slot = threadIdx.x / STUDENTS, i = threadIdx.x % STUDENTS;
    const long long seed = (long long)blockIdx.x * SEEDS + slot;
    const bool working = slot < SEEDS && seed < seeds;
    double* const units = shared + (slot < SEEDS ? slot : 0) * STRIDE;  // directions (unit, coordinate)
    double* const students = units + UNITS * row;                       // w (student, coordinate)
    double* const mass = students + STUDENTS * odd_row;                 // C (unit,)
    double* const coefficient = mass + UNITS;                           // c (student,)
    double* const teachers = coefficient + STUDENTS;                        // the teachers' part of r
    double* const residual = teachers + COORDINATES;                        // r
    double* const vector = students + i * odd_row;
    double* const given = vectors + seed * UNITS * COORDINATES;  // not to be read unless working
    linear *= 2.0, curved *= 2.0, constant *= 2.0;

    double direction[COORDINATES], force[COORDINATES], output = 0.0;
    if (working) {
        output = outputs[seed * UNITS + i];
        for (int d = 0; d < COORDINATES; d++) vector[d] = given[i * COORDINATES + d];
        for (int q = STUDENTS + i; q < UNITS; q += STUDENTS)
            mass[q] = outputs[seed * UNITS + q] * normalize(given + q * COORDINATES, units + q * row);
        for (int d = i; d < COORDINATES; d += STUDENTS) {
            teachers[d] = 0.0;
            for (int q = STUDENTS; q < UNITS; q++)
                teachers[d] = fma(outputs[seed * UNITS + q], given[q * COORDINATES + d], teachers[d]);
        }
    }
    for (long long step = 0; step < count; step++) {
        double length = 0.0;
        if (working) {
            length = normalize(vector, direction);
            if (OUTPUT == TIED) output = length;
#pragma unroll
            for (int d = 0; d < COORDINATES; d++) units[i * row + d] = direction[d];
            mass[i] = scale * output * length;
            coefficient[i] = scale * output;
        }
        __syncthreads();
        if (working)
            for (int d = i; d < COORDINATES; d += STUDENTS) {
                double sum = 0.0;
#pragma unroll
                for (int p = 0; p < STUDENTS; p++) sum = fma(coefficient[p], students[p * odd_row + d], sum);
                residual[d] = sum + teachers[d];
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
                    double x = direction[d] - pair.x, y = direction[d + 1] - pair.y;
                    first = fma(x, x, first);
                    second = fma(y, y, second);
                }
                if (COORDINATES % 2) {
                    double x = direction[COORDINATES - 1] - other[COORDINATES - 1];
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
                force[d] = linear * residual[d] + along * direction[d] - curved * force[d];
                radial = fma(direction[d], force[d], radial);
            }
            const double pace = length > 0.0 ? scale * step_size : 0.0;
            const double rate = pace * output, decay = (OUTPUT == TIED ? 2.0 : 1.0) * step_size * weight_decay;
            radial *= pace * length;
            const double inward = OUTPUT == TIED ? radial : 0.0;
#pragma unroll
            for (int d = 0; d < COORDINATES; d++)
                vector[d] -= rate * force[d] + decay * vector[d] + inward * direction[d];
            if (OUTPUT == TRAINED) output -= radial + decay * output;
        }
        __syncthreads();
    }
    if (working) {
        for (int d = 0; d < COORDINATES; d++) given[i * COORDINATES + d] = vector[d];
        outputs[seed * UNITS + i] = output;
    }
}
