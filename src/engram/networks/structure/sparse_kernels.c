/* The kernels of a sparse network: one call runs all layers, each with its bias and leaky ReLU fused in.
 *
 * Two ways through the linear layers:
 *   one input    ROWS    compressed rows, a dot product each;
 *                LOOKUP  16 rows abreast: a window of 32 or 64 inputs lies in registers and each weight takes
 *                        its input by a permutation of them, so that nothing is gathered from memory (AVX-512);
 *                DENSE   64 rows abreast, every weight.
 *   many inputs  the activations of 16, 32 or 64 inputs lie side by side, features x tile, and each weight is one
 *                broadcast multiply-add over the tile: ROWS (in panels of columns that fit the cache), or DENSE.
 * Before them, one input at a time, come the layers over maps. A convolution runs along the flattened map: a
 * weight is one multiply-add over 64 places at once; what that computes beyond the edge of a line is never read.
 *
 * GCC and Clang: the vectors of 16 floats become whatever the processor has. All pointers come from Python
 * (sparse_packing.py), which owns the memory and mirrors these structures.
 */
#include <stdint.h>
#include <string.h>
#ifdef __AVX512F__
#include <immintrin.h>
#endif

typedef float floats __attribute__((vector_size(64), aligned(4), may_alias));
typedef float four __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t four_ints __attribute__((vector_size(16)));
typedef int32_t ints __attribute__((vector_size(64), aligned(4), may_alias));

enum { ROWS, LOOKUP_32, LOOKUP_64, DENSE };
enum { CONVOLUTION, MAXIMUM, AVERAGE, LAYOUT };

typedef struct {
    int32_t kernel, rows, columns, pieces; /* pieces: panels, or windows of the lookup */
    int32_t span, groups;                  /* columns of a panel; groups of 16 rows */
    float slope;                           /* of the activation below zero: 1 none, 0 ReLU */
    const float *bias, *weight;
    const uint16_t *column; /* ROWS: relative to the panel */
    const uint32_t *start;  /* ROWS: panel after panel, the first weight of each row; one more at the end */
    const uint8_t *place;   /* LOOKUP: of each weight's input within its window */
    const uint8_t *count;   /* LOOKUP: steps of 16 weights in each window and group, most first */
    const uint16_t *group;  /* LOOKUP: of each count */
    const int32_t *order;   /* LOOKUP: the row of each lane; ROWS: panel after panel, the rows as they come */
} Layer;

typedef struct {
    int32_t kind, channels, height, width; /* of what comes out */
    int32_t pitch, plane;                  /* of what comes in: floats from line to line, from map to map */
    int32_t out_pitch, out_plane;
    int32_t size_y, size_x, step_y, step_x; /* pooling: window and stride; layout: the phases */
    int32_t pad_y, pad_x, places;           /* layout: zeros above and left; convolution: places along the map */
    float slope;
    const float *bias, *weight;
    const int32_t *offset; /* convolution: from a place to the input of each weight */
    const uint32_t *start;
} Map;

typedef struct {
    int32_t width, layers; /* inputs at once */
    const Layer *layer;
} Program;

typedef struct {
    int32_t maps, inputs, features, outputs, limit;
    int64_t buffer; /* floats in each of the three buffers of the scratch space */
    const Map *map;
    const Program *program;
    const uint8_t *live; /* whether anything reads a block of 16 features */
    const uint8_t *plan; /* the program for the next inputs where 0..limit are left, limit standing for more */
} Network;

typedef struct {
    const Network *network;
    const float *in;
    float *out, *scratch;
    int64_t count;
} Call;

static inline float bent(float y, float slope) { return y > 0 ? y : y * slope; }

static inline floats bent16(floats y, float slope) {
    ints above = y > 0;
    return (floats)((above & (ints)y) | (~above & (ints)(y * slope)));
}

static inline floats all(float x) { return (floats){0} + x; }

static inline floats at(const float *x) { return *(const floats *)x; }

static inline void put(float *y, floats x) { *(floats *)y = x; }

/* ---- one input ---- */

static void rows_1(const Layer *l, const float *x, float *y) {
    const float *w = l->weight;
    const uint16_t *column = l->column;
    for (int32_t p = 0; p < l->pieces; p++, x += l->span) {
        const uint32_t *start = l->start + (int64_t)p * l->rows;
        for (int32_t i = 0; i < l->rows; i++) {
            const int32_t r = l->order[(int64_t)p * l->rows + i];
            float a = p ? y[r] : l->bias[r], b = 0, c = 0, d = 0;
            for (uint32_t n = start[i + 1] - start[i]; n; n -= 4, w += 4, column += 4) {
                a += w[0] * x[column[0]];
                b += w[1] * x[column[1]];
                c += w[2] * x[column[2]];
                d += w[3] * x[column[3]];
            }
            a = (a + b) + (c + d);
            y[r] = p + 1 < l->pieces ? a : bent(a, l->slope);
        }
    }
}

static void dense_1(const Layer *l, const float *x, float *y) {
    const float *w = l->weight;
    for (int32_t first = 0; first < l->rows; first += 64) {
        floats a = {0}, b = {0}, c = {0}, d = {0};
        for (int32_t j = 0; j < l->columns; j++, w += 64) {
            a += x[j] * at(w), b += x[j] * at(w + 16), c += x[j] * at(w + 32), d += x[j] * at(w + 48);
        }
        float sum[64];
        put(sum, a), put(sum + 16, b), put(sum + 32, c), put(sum + 48, d);
        for (int32_t r = first; r < l->rows && r < first + 64; r++) y[r] = bent(sum[r - first] + l->bias[r], l->slope);
    }
}

#ifdef __AVX512F__
static inline __m512 within(const float *x, int32_t first, int32_t count) {
    int32_t left = count - first;
    __mmask16 mask = left >= 16 ? 0xFFFF : left <= 0 ? 0 : (__mmask16)((1u << left) - 1);
    return _mm512_maskz_loadu_ps(mask, x + first);
}

static void bring_home(const Layer *l, const float *sum, float *y) {
    for (int32_t i = 0; i < l->rows; i++) {
        int32_t r = l->order[i];
        y[r] = bent(sum[i] + l->bias[r], l->slope);
    }
}

static void lookup_32(const Layer *l, const float *x, float *y, float *sum) {
    const uint8_t *count = l->count, *place = l->place;
    const uint16_t *group = l->group;
    const float *w = l->weight;
    memset(sum, 0, sizeof(float) * 16 * l->groups);
    for (int32_t b = 0; b < l->pieces; b++) {
        __m512 first = within(x, 16 * b, l->columns), second = within(x, 16 * b + 16, l->columns);
        for (int32_t i = 0; i < l->groups && count[i]; i++) {
            float *own = sum + 16 * (int64_t)group[i];
            __m512 a = _mm512_loadu_ps(own);
            for (int n = count[i]; n; n--, place += 16, w += 16) {
                __m512i which = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)place));
                a = _mm512_fmadd_ps(_mm512_permutex2var_ps(first, which, second), _mm512_loadu_ps(w), a);
            }
            _mm512_storeu_ps(own, a);
        }
        count += l->groups, group += l->groups;
    }
    bring_home(l, sum, y);
}

static void lookup_64(const Layer *l, const float *x, float *y, float *sum) {
    const uint8_t *count = l->count, *place = l->place;
    const uint16_t *group = l->group;
    const float *w = l->weight;
    const __m512i upper = _mm512_set1_epi32(32);
    memset(sum, 0, sizeof(float) * 16 * l->groups);
    for (int32_t b = 0; b < l->pieces; b++) {
        __m512 first = within(x, 32 * b, l->columns), second = within(x, 32 * b + 16, l->columns);
        __m512 third = within(x, 32 * b + 32, l->columns), fourth = within(x, 32 * b + 48, l->columns);
        for (int32_t i = 0; i < l->groups && count[i]; i++) {
            float *own = sum + 16 * (int64_t)group[i];
            __m512 a = _mm512_loadu_ps(own);
            for (int n = count[i]; n; n--, place += 16, w += 16) {
                __m512i which = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)place));
                __mmask16 high = _mm512_test_epi32_mask(which, upper);
                __m512 found = _mm512_mask_mov_ps(_mm512_permutex2var_ps(first, which, second), high,
                                                  _mm512_permutex2var_ps(third, which, fourth));
                a = _mm512_fmadd_ps(found, _mm512_loadu_ps(w), a);
            }
            _mm512_storeu_ps(own, a);
        }
        count += l->groups, group += l->groups;
    }
    bring_home(l, sum, y);
}
#endif

static void one(const Layer *l, const float *x, float *y, float *sum) {
    (void)sum;
    switch (l->kernel) {
#ifdef __AVX512F__
    case LOOKUP_32: lookup_32(l, x, y, sum); break;
    case LOOKUP_64: lookup_64(l, x, y, sum); break;
#endif
    case DENSE: dense_1(l, x, y); break;
    default: rows_1(l, x, y);
    }
}

/* ---- a tile of inputs: K vectors of 16, U weights in flight, G dense rows at a time ---- */

#define TILE(K, U, G)                                                                                       \
    static void rows_tile_##K(const Layer *l, const float *x, float *y) {                                   \
        const float *w = l->weight;                                                                         \
        const uint16_t *column = l->column;                                                                 \
        for (int32_t p = 0; p < l->pieces; p++, x += (int64_t)l->span * 16 * K) {                           \
            const uint32_t *start = l->start + (int64_t)p * l->rows;                                        \
            const int32_t *order = l->order + (int64_t)p * l->rows;                                         \
            const int last = p + 1 == l->pieces;                                                            \
            for (int32_t i = 0; i < l->rows; i++) {                                                         \
                const int32_t r = order[i];                                                                 \
                float *out = y + (int64_t)r * 16 * K;                                                       \
                floats a[U][K];                                                                             \
                for (int k = 0; k < K; k++) a[0][k] = p ? at(out + 16 * k) : all(l->bias[r]);               \
                for (int u = 1; u < U; u++)                                                                 \
                    for (int k = 0; k < K; k++) a[u][k] = all(0);                                           \
                for (uint32_t n = start[i + 1] - start[i]; n; n -= U, w += U, column += U)                  \
                    for (int u = 0; u < U; u++) {                                                           \
                        const float *in = x + (int64_t)column[u] * 16 * K;                                  \
                        for (int k = 0; k < K; k++) a[u][k] += w[u] * at(in + 16 * k);                      \
                    }                                                                                       \
                for (int k = 0; k < K; k++) {                                                               \
                    for (int u = 1; u < U; u++) a[0][k] += a[u][k];                                         \
                    put(out + 16 * k, last ? bent16(a[0][k], l->slope) : a[0][k]);                          \
                }                                                                                           \
            }                                                                                               \
        }                                                                                                   \
    }                                                                                                       \
    static void dense_tile_##K(const Layer *l, const float *x, float *y) {                                  \
        for (int32_t first = 0; first < l->rows; first += G) {                                              \
            const float *w = l->weight + (int64_t)(first / 4) * 4 * l->columns + first % 4;                 \
            floats a[G][K];                                                                                 \
            for (int g = 0; g < G; g++)                                                                     \
                for (int k = 0; k < K; k++) a[g][k] = all(first + g < l->rows ? l->bias[first + g] : 0);    \
            for (int32_t j = 0; j < l->columns; j++, w += 4) {                                              \
                const float *in = x + (int64_t)j * 16 * K;                                                  \
                for (int g = 0; g < G; g++)                                                                 \
                    for (int k = 0; k < K; k++) a[g][k] += w[g] * at(in + 16 * k);                          \
            }                                                                                               \
            for (int g = 0; g < G && first + g < l->rows; g++)                                              \
                for (int k = 0; k < K; k++)                                                                 \
                    put(y + ((int64_t)(first + g) * K + k) * 16, bent16(a[g][k], l->slope));                \
        }                                                                                                   \
    }

TILE(1, 4, 4)
TILE(2, 2, 4)
TILE(4, 1, 2)

static void tile(const Layer *l, int32_t width, const float *x, float *y) {
    const int dense = l->kernel == DENSE;
    switch (width) {
    case 16: dense ? dense_tile_1(l, x, y) : rows_tile_1(l, x, y); break;
    case 32: dense ? dense_tile_2(l, x, y) : rows_tile_2(l, x, y); break;
    default: dense ? dense_tile_4(l, x, y) : rows_tile_4(l, x, y);
    }
}

#ifdef __clang__
#define PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
#define PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (four_ints){i, j, k, l})
#endif

static inline void turn4(const float *in, int64_t pitch, float *out, int64_t out_pitch) {
    four a = *(const four *)in, b = *(const four *)(in + pitch);
    four c = *(const four *)(in + 2 * pitch), d = *(const four *)(in + 3 * pitch);
    four ab = PICK(a, b, 0, 4, 1, 5), cd = PICK(c, d, 0, 4, 1, 5);
    *(four *)out = PICK(ab, cd, 0, 1, 4, 5), *(four *)(out + out_pitch) = PICK(ab, cd, 2, 3, 6, 7);
    ab = PICK(a, b, 2, 6, 3, 7), cd = PICK(c, d, 2, 6, 3, 7);
    *(four *)(out + 2 * out_pitch) = PICK(ab, cd, 0, 1, 4, 5), *(four *)(out + 3 * out_pitch) = PICK(ab, cd, 2, 3, 6, 7);
}

/* (lines, columns) becomes (columns, lines), but for the blocks of 16 columns that `live`, if given, has as zero. */
static void turn(const float *in, int64_t lines, int64_t columns, const uint8_t *live, float *out, int64_t out_pitch) {
    for (int64_t i = 0; i < lines; i += 16)
        for (int64_t j = 0; j < columns; j += 16) {
            const float *from = in + i * columns + j;
            float *to = out + j * out_pitch + i;
            if (live && !live[j / 16]) continue;
            if (i + 16 <= lines && j + 16 <= columns) {
                for (int v = 0; v < 16; v += 4)
                    for (int u = 0; u < 16; u += 4) turn4(from + u * columns + v, columns, to + v * out_pitch + u, out_pitch);
                continue;
            }
            for (int64_t u = 0; u < 16 && i + u < lines; u++)
                for (int64_t v = 0; v < 16 && j + v < columns; v++) to[v * out_pitch + u] = from[u * columns + v];
        }
}

/* (lines, width), of whose columns `count` are wanted, becomes (count, lines). */
static void unturn(const float *in, int64_t lines, int64_t count, int64_t width, float *out) {
    int64_t whole = lines & ~3, wanted = count & ~3;
    for (int64_t j = 0; j < wanted; j += 4)
        for (int64_t i = 0; i < whole; i += 4) turn4(in + i * width + j, width, out + j * lines + i, lines);
    for (int64_t i = 0; i < lines; i++)
        for (int64_t j = i < whole ? wanted : 0; j < count; j++) out[j * lines + i] = in[i * width + j];
}

static void run_layers(const Program *p, const Network *net, const float *x, int64_t count, float *out, float *scratch) {
    const int32_t n = p->layers;
    float *buffers[2] = {scratch, scratch + net->buffer}, *sum = scratch + 2 * net->buffer;
    if (p->width == 1) {
        for (int32_t i = 0; i < n; i++) {
            float *y = i + 1 == n ? out : buffers[i & 1];
            one(&p->layer[i], x, y, sum);
            x = y;
        }
        return;
    }
    turn(x, count, net->features, net->live, buffers[1], p->width);
    for (int32_t i = 0; i < n; i++) tile(&p->layer[i], p->width, buffers[(i + 1) & 1], buffers[i & 1]);
    unturn(buffers[(n + 1) & 1], net->outputs, count, p->width, out);
}

/* ---- maps ---- */

#define ALONG(K)                                                                             \
    static void along_##K(const Map *m, int32_t c, const float *x, float *y) {               \
        floats a[K];                                                                         \
        for (int k = 0; k < K; k++) a[k] = all(m->bias[c]);                                  \
        for (uint32_t i = m->start[c]; i < m->start[c + 1]; i++)                             \
            for (int k = 0; k < K; k++) a[k] += m->weight[i] * at(x + m->offset[i] + 16 * k); \
        for (int k = 0; k < K; k++) put(y + 16 * k, bent16(a[k], m->slope));                 \
    }

ALONG(1)
ALONG(2)
ALONG(4)

static void convolution(const Map *m, const float *x, float *y) {
    for (int32_t c = 0; c < m->channels; c++, y += m->out_plane) {
        int32_t q = 0;
        for (; q + 48 < m->places; q += 64) along_4(m, c, x + q, y + q);
        for (; q + 16 < m->places; q += 32) along_2(m, c, x + q, y + q);
        for (; q < m->places; q += 16) along_1(m, c, x + q, y + q);
    }
}

static inline float higher(float a, float b) { return a > b ? a : b; }

static void pooling(const Map *m, const float *x, float *y) {
    const int maximum = m->kind == MAXIMUM;
    const float share = 1.0f / (float)(m->size_y * m->size_x);
    for (int32_t c = 0; c < m->channels; c++)
        for (int32_t i = 0; i < m->height; i++) {
            const float *in = x + (int64_t)c * m->plane + (int64_t)i * m->step_y * m->pitch;
            float *out = y + (int64_t)c * m->out_plane + (int64_t)i * m->out_pitch;
            if (maximum && m->size_y == 2 && m->size_x == 2 && m->step_x == 2) {
                const float *below = in + m->pitch;
                for (int32_t j = 0; j < m->width; j++)
                    out[j] = bent(higher(higher(in[2 * j], in[2 * j + 1]), higher(below[2 * j], below[2 * j + 1])), m->slope);
                continue;
            }
            for (int32_t j = 0; j < m->width; j++, in += m->step_x) {
                float a = maximum ? in[0] : 0;
                for (int32_t v = 0; v < m->size_y; v++)
                    for (int32_t u = 0; u < m->size_x; u++) {
                        float value = in[v * m->pitch + u];
                        a = maximum ? higher(a, value) : a + value;
                    }
                out[j] = bent(maximum ? a : a * share, m->slope);
            }
        }
}

/* Lines close together, or with zeros around them and split by phase, so that a stride becomes a step of one. */
static void layout(const Map *m, const float *x, float *y) {
    const int32_t phases = m->step_y * m->step_x;
    if (phases > 1 || m->pad_y || m->pad_x || m->out_pitch > m->width)
        memset(y, 0, sizeof(float) * m->channels * phases * m->out_plane);
    for (int32_t c = 0; c < m->channels; c++)
        for (int32_t i = 0; i < m->height; i++) {
            const float *in = x + (int64_t)c * m->plane + (int64_t)i * m->pitch;
            const int32_t top = i + m->pad_y;
            float *line = y + (int64_t)(c * phases + top % m->step_y * m->step_x) * m->out_plane + (int64_t)(top / m->step_y) * m->out_pitch;
            if (m->step_x == 1) {
                memcpy(line + m->pad_x, in, sizeof(float) * m->width);
                continue;
            }
            for (int32_t j = 0; j < m->width; j++) {
                const int32_t left = j + m->pad_x;
                line[(int64_t)(left % m->step_x) * m->out_plane + left / m->step_x] = in[j];
            }
        }
}

static void map(const Map *m, const float *x, float *y) {
    switch (m->kind) {
    case CONVOLUTION: convolution(m, x, y); break;
    case LAYOUT: layout(m, x, y); break;
    default: pooling(m, x, y);
    }
}

/* ---- what Python calls ---- */

int32_t engram_lanes(void) {
#ifdef __AVX512F__
    return 16;
#else
    return 0;
#endif
}

/* Scratch: three buffers of net->buffer floats, then the features of as many inputs as the widest program takes. */
void engram_run(const Call *call) {
    const Network *net = call->network;
    float *buffers[2] = {call->scratch, call->scratch + net->buffer}, *features = call->scratch + 3 * net->buffer;
    for (int64_t done = 0; done < call->count;) {
        const int64_t left = call->count - done;
        const Program *p = &net->program[net->plan[left < net->limit ? left : net->limit]];
        const int64_t count = left < p->width ? left : p->width;
        const float *x = call->in + done * net->inputs;
        float *out = call->out + done * net->outputs;
        for (int64_t s = 0; net->maps && s < count; s++) {
            const float *in = x + s * net->inputs;
            for (int32_t i = 0; i < net->maps; i++) {
                float *y = buffers[i & 1];
                map(&net->map[i], in, y);
                in = y;
            }
            memcpy(features + s * net->features, in, sizeof(float) * net->features);
        }
        if (net->maps) x = features;
        if (p->layers) run_layers(p, net, x, count, out, call->scratch);
        else memcpy(out, x, sizeof(float) * count * net->outputs);
        done += count;
    }
}

/* One layer, again and again, to be timed. */
void engram_repeat(const Layer *l, int32_t width, const float *x, float *y, float *sum, int32_t times) {
    for (int32_t i = 0; i < times; i++) {
        if (width == 1) one(l, x, y, sum);
        else tile(l, width, x, y);
    }
}

void engram_repeat_map(const Map *m, const float *x, float *y, int32_t times) {
    for (int32_t i = 0; i < times; i++) map(m, x, y);
}
