// Lengths and angles of directions, for the kernels of gradient descent: as lanes.py, for a CUDA thread.
//
// `source` of cuda_descent.py puts this before each kernel, after the constants that it shares with the other kernels:
// FIXED, TRAINED, TIED, SMALL, LARGE, SHIFT, DELICATE and P0 to P19. All in ASCII: CuPy writes it in the locale's
// encoding.

#define TINY 0x1p-1022  // the smallest normal number
#define PI 3.141592653589793

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

// The angle in [0, pi/2] of the squared chord c = 4 sin(theta/2)^2: as `arc` of lanes.py, with the polynomial of
// angle_polynomial.py.
__device__ __forceinline__ double arc(double c) {
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
    return root(c) * fma(odd, c, even);
}

// The angle in [0, pi], and its sine, from the squared distance of two directions: as `angle` of lanes.py.
__device__ __forceinline__ double angle(double square, double* sine) {
    double rest = 4.0 - square;
    rest = rest < 0.0 ? 0.0 : rest;
    bool far = rest < square;
    double near = arc(far ? rest : square);
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

// 2 where a student is within DELICATE of a teacher, up to sign, 1 where it is small, and 0 elsewhere: of its direction
// and mass, and those of the teachers, whose directions are `stride` apart.
__device__ __forceinline__ double nearness_of(const double* direction, double mass, const double* teachers, int stride,
                                              const double* masses) {
    double nearest = 4.0, largest = 0.0;
    for (int q = 0; q < UNITS - STUDENTS; q++) {
        double square = 0.0;
        for (int d = 0; d < COORDINATES; d++) {
            double difference = direction[d] - teachers[q * stride + d];
            square = fma(difference, difference, square);
        }
        nearest = fmin(nearest, fmin(square, 4.0 - square));
        largest = fmax(largest, fabs(masses[q]));
    }
    if (nearest < DELICATE * DELICATE) return 2.0;
    return fabs(mass) < DELICATE * largest ? 1.0 : 0.0;
}

// As `close_to_teachers` of lanes.py: whether all students are near a teacher or small, and one is near.
__device__ __forceinline__ bool close_to_teachers(const double* nearness) {
    bool settled = true, found = false;
    for (int i = 0; i < STUDENTS; i++) {
        settled = settled && nearness[i] > 0.0;
        found = found || nearness[i] > 1.0;
    }
    return settled && found;
}
