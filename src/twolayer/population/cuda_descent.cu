// Gradient descent on Gaussian input, `count` steps in one launch: a lane a student, some seeds a block.
//
// The formulas are those of closed_form.py. NVRTC compiles this, after cuda_directions.cu, for one `Plan` of
// cuda_descent.py, given by macros: STUDENTS, UNITS (students, then teachers), COORDINATES, OUTPUT (FIXED, TRAINED or
// TIED); SEEDS and THREADS of a block, STRIDE of a seed in shared memory. A lane keeps its student's direction and
// force in registers and reads the others' directions from shared memory, where the lanes of a seed read the same
// numbers at the same time. Lanes never mix seeds, so a seed's bits do not depend on the others.

struct __align__(16) Pair {
    double x, y;
};

// vectors (seed, unit, coordinate) and outputs (seed, unit) in place; left (seed,): how many steps a seed has left, of
// which it takes no more than `count`, and none once it is `close_to_teachers` where `stops`. scale: s; linear, curved,
// constant: A, B, D.
extern "C" __global__ void __launch_bounds__(THREADS) descend(
    double* vectors, double* outputs, long long* left, double scale, double linear, double curved, double constant,
    double step_size, double weight_decay, long long seeds, long long count, long long stops) {
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
    double* const teachers = coefficient + STUDENTS;                    // the teachers' part of r
    double* const residual = teachers + COORDINATES;                    // r
    double* const nearness = residual + COORDINATES;                    // `nearness_of` each student (student,)
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
    long long remaining = working ? left[seed] : 0, taken = 0;
    for (long long step = 0; step < count; step++) {
        double length = 0.0;
        bool moving = remaining > 0;  // all lanes of a block meet at all barriers
        if (moving) {
            length = normalize(vector, direction);
            if (OUTPUT == TIED) output = length;
#pragma unroll
            for (int d = 0; d < COORDINATES; d++) units[i * row + d] = direction[d];
            mass[i] = scale * output * length;
            coefficient[i] = scale * output;
        }
        __syncthreads();
        if (moving) {
            if (stops) nearness[i] = nearness_of(direction, mass[i], units + STUDENTS * row, row, mass + STUDENTS);
            for (int d = i; d < COORDINATES; d += STUDENTS) {
                double sum = 0.0;
#pragma unroll
                for (int p = 0; p < STUDENTS; p++) sum = fma(coefficient[p], students[p * odd_row + d], sum);
                residual[d] = sum + teachers[d];
            }
        }
        __syncthreads();
        if (moving && stops && close_to_teachers(nearness)) remaining = 0, moving = false;
        if (moving) {
            remaining--, taken++;
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
        if (i == 0) left[seed] -= taken;
    }
}
