// Gradient descent near orthogonal teachers, by the form that keeps the digits of small forces: a lane a student.
//
// The formulas are those of orthogonal_form.py, and their order that of numba_groups.py and numba_form_field.py; what a
// seed needs on the way lies in `scratch`, where its lanes read it. NVRTC compiles this, after cuda_directions.cu, for
// one `Plan` of cuda_descent.py: STUDENTS, UNITS, COORDINATES, OUTPUT, SEEDS, THREADS. CLOSE, COARSE and NEARLY are
// constants of orthogonal_form.py. Products whose rounding is needed are __dmul_rn, which no compiler fuses with a sum.

#define GROUPS (UNITS - STUDENTS)

__device__ __forceinline__ double dot(const double* left, const double* right) {
    double total = 0.0;
    for (int d = 0; d < COORDINATES; d++) total = fma(left[d], right[d], total);
    return total;
}

__device__ __forceinline__ double excess(double x) {  // sqrt(1 + x) - 1
    return x / (1.0 + sqrt(1.0 + x));
}

__device__ __forceinline__ double beyond_sine(double theta) {  // theta - sin theta of small angles
    double y = theta * theta;
    return theta * y * (1.0 / 6.0) * (1.0 - y * (1.0 / 20.0) * (1.0 - y * (1.0 / 42.0) * (1.0 - y * (1.0 / 72.0))));
}

__device__ __forceinline__ double arc_tangent(double x) {  // atan x of |x| <= 0.06
    double y = x * x;
    double series = fma(y, 1.0 / 13.0, -1.0 / 11.0);
    series = fma(series, y, 1.0 / 9.0);
    series = fma(series, y, -1.0 / 7.0);
    series = fma(series, y, 1.0 / 5.0);
    series = fma(series, y, -1.0 / 3.0);
    return fma(x * y, series, x);
}

// The angle in [0, pi] of two directions, to rounding at both ends, and its sine and cosine.
__device__ __forceinline__ double angle_of(const double* left, const double* right, double* sine, double* cosine) {
    double minus = 0.0, plus = 0.0;
    for (int d = 0; d < COORDINATES; d++) {
        double apart = left[d] - right[d], together = left[d] + right[d];
        minus = fma(apart, apart, minus);
        plus = fma(together, together, plus);
    }
    double near = arc(plus < minus ? plus : minus);
    *sine = 0.5 * root(minus * plus);
    *cosine = 0.25 * (plus - minus);
    return plus < minus ? PI - near : near;
}

// Add a product, and what its rounding left out, to a sum and to what its rounding left out: core/compensated.py.
__device__ __forceinline__ void add(double* sum, double* rest, double product, double error) {
    double total = *sum + product, second = total - *sum;
    error += (*sum - (total - second)) + (product - second);
    *sum = total;
    *rest += error;
}

// vectors (seed, unit, coordinate) and outputs (seed, unit) in place; left (seed,): how many steps a seed has left, of
// which it takes no more than `count`, and none once it is not `close_to_teachers`, but for its first where `begins`.
// scratch (seed, stride). scale: s; linear, curved, constant: A, B, D.
extern "C" __global__ void __launch_bounds__(THREADS) descend_near(
    double* vectors, double* outputs, long long* left, double* scratch, double scale, double linear, double curved,
    double constant, double step_size, long long seeds, long long count, long long begins, long long stride) {
    const int slot = threadIdx.x / STUDENTS, i = threadIdx.x % STUDENTS;
    const long long seed = (long long)blockIdx.x * SEEDS + slot;
    const bool working = slot < SEEDS && seed < seeds;
    const double even = 0.5 * PI * curved;
    const double odd = fabs(linear - even) <= 1e-9 * linear ? 0.0 : linear - even;

    double* const mine = scratch + (working ? seed : 0) * stride;
    double* const turned = mine;                                  // u, students turned to their teachers
    double* const directions = turned + UNITS * COORDINATES;      // of these, (unit, coordinate)
    double* const rests = directions + UNITS * COORDINATES;       // zeta (student, coordinate), 0 of strays
    double* const residuals = rests + STUDENTS * COORDINATES;     // of each group, (group, coordinate)
    double* const every_turned = residuals + GROUPS * COORDINATES;  // turned r (coordinate,)
    double* const every = every_turned + COORDINATES;             // r (coordinate,)
    double* const tilts = every + COORDINATES;                    // zeta along each teacher (student, group)
    double* const nearness = tilts + STUDENTS * GROUPS;           // (student,)
    double* const coefficients = nearness + STUDENTS;             // c (unit,), and so on
    double* const left_out = coefficients + UNITS;                // of c by rounding
    double* const weights = left_out + UNITS;                     // q = c h, 0 of strays
    double* const strays = weights + UNITS;                       // C, 0 in a group
    double* const squares = strays + UNITS;                       // |zeta|^2
    double* const signs = squares + UNITS;
    double* const groups = signs + UNITS;                         // the teacher whose group it is in, or -1
    double* const lengths = groups + UNITS;                       // |u|, of teachers
    double* const given = vectors + (working ? seed : 0) * UNITS * COORDINATES;
    double* const vector = given + i * COORDINATES;
    double* const direction = directions + i * COORDINATES;
    double* const rest = rests + i * COORDINATES;

    double action[COORDINATES], on_axis[GROUPS], on_residual[GROUPS], totals[GROUPS], output = 0.0;
    if (working) {
        output = outputs[seed * UNITS + i];
        for (int q = STUDENTS + i; q < UNITS; q += STUDENTS) {
            for (int d = 0; d < COORDINATES; d++) turned[q * COORDINATES + d] = given[q * COORDINATES + d];
            lengths[q] = normalize(given + q * COORDINATES, directions + q * COORDINATES);
            coefficients[q] = outputs[seed * UNITS + q], left_out[q] = 0.0;
            weights[q] = coefficients[q] * lengths[q];
            strays[q] = squares[q] = 0.0, signs[q] = 1.0, groups[q] = q - STUDENTS;
        }
    }
    long long remaining = working ? left[seed] : 0, taken = 0;
    __syncthreads();
    for (long long step = 0; step < count; step++) {
        double length = 0.0;
        bool moving = remaining > 0;  // all lanes of a block meet at all barriers
        if (moving) {
            length = normalize(vector, direction);
            if (OUTPUT == TIED) output = length;
            coefficients[i] = __dmul_rn(output, scale);
            left_out[i] = fma(output, scale, -coefficients[i]);
            nearness[i] = nearness_of(direction, coefficients[i] * length, directions + STUDENTS * COORDINATES,
                                      COORDINATES, weights + STUDENTS);
            double highest = 0.0, lowest = 0.0;
            int group = 0, opposite = 0;
            for (int s = 0; s < GROUPS; s++) {
                double height = dot(vector, directions + (STUDENTS + s) * COORDINATES);
                if (s == 0 || highest < height) highest = height, group = s;
                if (s == 0 || height < lowest) lowest = height, opposite = s;
            }
            const double sign = highest < -lowest ? -1.0 : 1.0;
            if (sign < 0.0) highest = -lowest, group = opposite;
            for (int d = 0; d < COORDINATES; d++) {
                turned[i * COORDINATES + d] = sign * vector[d];
                direction[d] *= sign;
            }
            signs[i] = sign;
            // u = a v + z with no rounding but in z's last place
            const double* const teacher = turned + (STUDENTS + group) * COORDINATES;
            const double* const axis = directions + (STUDENTS + group) * COORDINATES;
            const double share = highest / lengths[STUDENTS + group];
            double along = 0.0, square = 0.0;
            for (int d = 0; d < COORDINATES; d++) {
                double product = __dmul_rn(share, teacher[d]), error = fma(share, teacher[d], -product);
                rest[d] = (turned[i * COORDINATES + d] - product) - error;
                along = fma(rest[d], axis[d], along);
            }
            const double height = fma(share, lengths[STUDENTS + group], along);
            for (int d = 0; d < COORDINATES; d++) {
                rest[d] = fma(-along, axis[d], rest[d]) / height;
                square = fma(rest[d], rest[d], square);
            }
            const bool close = NEARLY * length < highest && height > 0.0 && square <= CLOSE * CLOSE;
            if (!close)
                for (int d = 0; d < COORDINATES; d++) rest[d] = 0.0;
            groups[i] = close ? group : -1;
            squares[i] = close ? square : 0.0;
            weights[i] = close ? coefficients[i] * height : 0.0;
            strays[i] = close ? 0.0 : coefficients[i] * length;
            for (int s = 0; s < GROUPS; s++)
                tilts[i * GROUPS + s] = dot(rest, directions + (STUDENTS + s) * COORDINATES);
        }
        __syncthreads();
        if (moving && !(begins && step == 0) && !close_to_teachers(nearness)) remaining = 0, moving = false;
        if (moving) {
            remaining--, taken++;
            bool turns = false;
            for (int p = 0; p < STUDENTS; p++) turns = turns || signs[p] < 0.0;
            for (int d = i; d < COORDINATES; d += STUDENTS) {  // sums that carry their rounding
                double all = 0.0, all_rest = 0.0, outside = 0.0, outside_rest = 0.0;
                for (int s = 0; s < GROUPS; s++) {
                    double sum = 0.0, sum_rest = 0.0;
                    for (int p = 0; p < UNITS; p++) {
                        if ((int)groups[p] != s && s > 0) continue;  // strays and r with the first group
                        double value = turned[p * COORDINATES + d];
                        double product = __dmul_rn(coefficients[p], value);
                        double error = fma(left_out[p], value, fma(coefficients[p], value, -product));
                        if ((int)groups[p] == s) add(&sum, &sum_rest, product, error);
                        if (groups[p] < 0.0) add(&outside, &outside_rest, product, error);
                        if (s == 0) add(&all, &all_rest, signs[p] * product, signs[p] * error);
                    }
                    residuals[s * COORDINATES + d] = sum + sum_rest;
                }
                double total = outside + outside_rest;
                for (int s = 0; s < GROUPS; s++) total += residuals[s * COORDINATES + d];
                every_turned[d] = total;
                every[d] = turns ? all + all_rest : total;
            }
        }
        __syncthreads();
        if (moving) {
            const int group = (int)groups[i];
            const double square = squares[i];
            double mass = 0.0, ahead = 0.0;
            for (int p = 0; p < UNITS; p++) mass += fma(weights[p], excess(squares[p]), strays[p]);
            for (int s = 0; s < GROUPS; s++) {
                totals[s] = dot(residuals + s * COORDINATES, directions + (STUDENTS + s) * COORDINATES);
                mass += totals[s];
                on_axis[s] = on_residual[s] = 0.0;
            }
            for (int d = 0; d < COORDINATES; d++) action[d] = 0.0;
            if (group >= 0) {
                double rising = 0.0, turning = 0.0, pulled = 0.0;
                for (int s = 0; s < GROUPS; s++) {
                    if (s == group) continue;
                    double tilt = tilts[i * GROUPS + s], bare = excess(square - tilt * tilt);
                    pulled = fma(1.0 + bare, totals[s], pulled);
                    on_residual[s] = arc_tangent(tilt / (1.0 + bare)) - 0.5 * PI;
                }
                for (int q = 0; q < UNITS; q++) {
                    const int other = (int)groups[q];
                    if (other < 0 || q == i || (q >= STUDENTS && other != group)) continue;
                    const double* const theirs = rests + q * COORDINATES;  // of students
                    double pull;
                    if (other == group) {
                        double apart = 0.0, along = 0.0, inner = 0.0;
                        for (int d = 0; d < COORDINATES; d++) {
                            double there = q < STUDENTS ? theirs[d] : 0.0, difference = rest[d] - there;
                            apart = fma(difference, difference, apart);
                            along = fma(rest[d], difference, along);
                            inner = fma(rest[d], there, inner);
                        }
                        double sine = apart + square * apart - along * along;
                        double theta = arc_tangent(sqrt(sine > 0.0 ? sine : 0.0) / (1.0 + inner));
                        double beyond = beyond_sine(theta), stretch = (squares[q] - square) / (1.0 + square);
                        rising = fma(weights[q], (theta - beyond) * excess(stretch) - beyond, rising);
                        turning = fma(weights[q], theta, turning);
                        pull = -weights[q] * theta;
                    } else {
                        double toward = tilts[i * GROUPS + other];
                        double change = tilts[q * GROUPS + group] + dot(rest, theirs);
                        double before = 1.0 + excess(square - toward * toward);
                        double x_change = squares[q] * (1.0 + square) - change * (2.0 * toward + change);
                        double after = fma(before, before, x_change);
                        after = sqrt(after > 0.0 ? after : 0.0);
                        double grown = x_change / (before + after);
                        double turn = (change * before - toward * grown) / (after * before + (toward + change) * toward);
                        pulled = fma(weights[q], grown, pulled);
                        pull = weights[q] * arc_tangent(turn);
                        on_axis[other] += pull;
                    }
                    if (q < STUDENTS)
                        for (int d = 0; d < COORDINATES; d++) action[d] = fma(pull, theirs[d], action[d]);
                }
                rising += pulled / (1.0 + square);
                on_axis[group] += rising;
                for (int d = 0; d < COORDINATES; d++) action[d] = fma(rising + turning, rest[d], action[d]);
            } else {
                for (int s = 0; s < GROUPS; s++) {
                    double sine, cosine;
                    double theta = angle_of(direction, directions + (STUDENTS + s) * COORDINATES, &sine, &cosine);
                    ahead = fma(sine, totals[s], ahead);
                    on_residual[s] = -theta;
                    for (int q = 0; q < STUDENTS; q++) {
                        if ((int)groups[q] != s || weights[q] == 0.0) continue;
                        const double* const theirs = rests + q * COORDINATES;
                        double lean = dot(direction, theirs), sine_change, theta_change;
                        if (squares[q] > COARSE * sine * COARSE * sine) {
                            double whole, unused;
                            theta_change = angle_of(direction, directions + q * COORDINATES, &whole, &unused) - theta;
                            sine_change = sqrt(1.0 + squares[q]) * whole - sine;
                        } else {
                            double change = squares[q] - lean * (lean + 2.0 * cosine);
                            double after = fma(sine, sine, change);
                            after = sqrt(after > 0.0 ? after : 0.0);
                            sine_change = change / (sine + after > 0.0 ? sine + after : 1.0);
                            double below = cosine * (cosine + lean) + sine * after;
                            theta_change = atan((sine_change * cosine - sine * lean) / below);
                        }
                        ahead = fma(weights[q], sine_change, ahead);
                        double pull = -weights[q] * theta_change;
                        on_axis[s] += pull;
                        for (int d = 0; d < COORDINATES; d++) action[d] = fma(pull, theirs[d], action[d]);
                    }
                }
            }
            for (int q = 0; q < STUDENTS; q++) {
                if (groups[q] >= 0.0 || q == i) continue;
                double sine, unused;
                double theta = angle_of(direction, directions + q * COORDINATES, &sine, &unused);
                ahead = fma(sine, strays[q], ahead);
                for (int d = 0; d < COORDINATES; d++)
                    action[d] = fma(-theta * strays[q], directions[q * COORDINATES + d], action[d]);
            }
            double radial = 0.0;
            for (int d = 0; d < COORDINATES; d++) {
                double pull = fma(ahead, direction[d], action[d]);
                for (int s = 0; s < GROUPS; s++) {
                    pull = fma(on_axis[s], directions[(STUDENTS + s) * COORDINATES + d], pull);
                    pull = fma(on_residual[s], residuals[s * COORDINATES + d], pull);
                }
                double value = 2.0 * even * every_turned[d] + 2.0 * curved * pull;
                value -= 2.0 * constant * mass * direction[d];
                action[d] = signs[i] * value + 2.0 * odd * every[d];
                radial = fma(signs[i] * direction[d], action[d], radial);
            }
            const double pace = length > 0.0 ? scale * step_size : 0.0;
            radial *= pace * length;
            const double inward = OUTPUT == TIED ? radial * signs[i] : 0.0;
            for (int d = 0; d < COORDINATES; d++)
                vector[d] -= pace * output * action[d] + inward * direction[d];
            if (OUTPUT == TRAINED) output -= radial;
        }
        __syncthreads();
    }
    if (working) {
        outputs[seed * UNITS + i] = output;
        if (i == 0) left[seed] -= taken;
    }
}
