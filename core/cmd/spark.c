/* Drawing sparklines. See spark.h. */
#include "cmd/spark.h"

void spark_add(struct spark *spark, double value)
{
    spark->values[spark->count++ % SPARK_VALUES] = value;
}

/* The value that was added `ago` values before the last one. */
static double value_at(const struct spark *spark, size_t ago)
{
    return spark->values[(spark->count - 1 - ago) % SPARK_VALUES];
}

void spark_append(struct text *out, const struct spark *spark, int width, bool utf8)
{
    static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
    static const char *const letters[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
    size_t room = width < 0 ? 0 : width > (int)SPARK_VALUES ? SPARK_VALUES : (size_t)width;
    size_t shown = spark->count < room ? spark->count : room;
    double most = 0;

    for (size_t i = 0; i < shown; i++)
        most = value_at(spark, i) > most ? value_at(spark, i) : most;
    text_printf(out, "%*s", width - (int)shown, "");
    for (size_t i = shown; i-- > 0;) {
        double part = most > 0 ? value_at(spark, i) / most : 0;
        /* What is more than nothing is more than the lowest line. */
        size_t level = part > 0 ? 1 + (size_t)(part * 6.99) : 0;
        text_append_string(out, utf8 ? blocks[level] : letters[level]);
    }
}
