// The entry of orrery_bench.
#include <benchmark/benchmark.h>

BENCHMARK_MAIN();
