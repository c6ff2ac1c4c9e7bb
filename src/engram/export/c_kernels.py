"""The kernels of an exported network, in C99: only those that it needs go into its file.

They read what they multiply by stepping along: `gap` says how many inputs further the next weight's input is.
"""

from __future__ import annotations

KERNELS = {
    "linear": """\
static void NAME_linear(const float *x, float *y, int32_t rows, const NAME_count *count, const uint8_t *gap,
                        const float *weight, const float *bias, float slope)
{
    int32_t r;
    for (r = 0; r < rows; r++) {
        const float *in = x;
        float sum = bias[r];
        NAME_count n;
        for (n = count[r]; n > 0; n--) {
            in += *gap++;
            sum += *weight++ * *in;
        }
        y[r] = sum > 0 ? sum : slope * sum;
    }
}""",
    "dense": """\
static void NAME_dense(const float *x, float *y, int32_t rows, int32_t columns, const float *weight,
                       const float *bias, float slope)
{
    int32_t r, c;
    for (r = 0; r < rows; r++) {
        float sum = bias[r];
        for (c = 0; c < columns; c++) sum += *weight++ * x[c];
        y[r] = sum > 0 ? sum : slope * sum;
    }
}""",
    "pad": """\
static void NAME_pad(const float *x, float *y, int32_t maps, int32_t height, int32_t width, int32_t down,
                     int32_t right)
{
    int32_t m, i, j;
    for (m = 0; m < maps; m++)
        for (i = -down; i < height + down; i++)
            for (j = -right; j < width + right; j++)
                *y++ = i < 0 || i >= height || j < 0 || j >= width ? 0.0f : x[(m * height + i) * width + j];
}""",
    "convolution": """\
static void NAME_convolution(const float *x, float *y, int32_t filters, int32_t height, int32_t width,
                             int32_t down, int32_t right, const NAME_count *count, const uint8_t *gap,
                             const float *weight, const float *bias, float slope)
{
    int32_t f, i, j;
    for (f = 0; f < filters; f++, y += height * width) {
        const float *in = x;
        NAME_count n;
        for (i = 0; i < height * width; i++) y[i] = bias[f];
        for (n = count[f]; n > 0; n--, weight++) {
            in += *gap++;
            for (i = 0; i < height; i++)
                for (j = 0; j < width; j++) y[i * width + j] += *weight * in[i * down + j * right];
        }
        for (i = 0; i < height * width; i++) y[i] = y[i] > 0 ? y[i] : slope * y[i];
    }
}""",
    "maximum": """\
static void NAME_maximum(const float *x, float *y, int32_t maps, int32_t high, int32_t wide, int32_t height,
                         int32_t width, int32_t size_y, int32_t size_x, int32_t step_y, int32_t step_x, float slope)
{
    int32_t m, i, j, v, u;
    for (m = 0; m < maps; m++, x += high * wide)
        for (i = 0; i < height; i++)
            for (j = 0; j < width; j++) {
                const float *in = x + i * step_y * wide + j * step_x;
                float most = *in;
                for (v = 0; v < size_y; v++)
                    for (u = 0; u < size_x; u++)
                        if (in[v * wide + u] > most) most = in[v * wide + u];
                *y++ = most > 0 ? most : slope * most;
            }
}""",
    "average": """\
static void NAME_average(const float *x, float *y, int32_t maps, int32_t high, int32_t wide, int32_t height,
                         int32_t width, int32_t size_y, int32_t size_x, int32_t step_y, int32_t step_x, float slope)
{
    int32_t m, i, j, v, u;
    for (m = 0; m < maps; m++, x += high * wide)
        for (i = 0; i < height; i++)
            for (j = 0; j < width; j++) {
                const float *in = x + i * step_y * wide + j * step_x;
                float sum = 0.0f;
                for (v = 0; v < size_y; v++)
                    for (u = 0; u < size_x; u++) sum += in[v * wide + u];
                sum /= (float)(size_y * size_x);
                *y++ = sum > 0 ? sum : slope * sum;
            }
}""",
}
