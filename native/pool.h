// A small thread pool: one job at a time, split into indexed tasks.
#pragma once
#include <functional>

// Calls task(i) for every i in [0, count) on up to threads() threads and returns when all are done.
// Tasks must write to disjoint memory; which thread runs which task is not fixed.
void parallel(int count, const std::function<void(int)>& task);

int threads();
void set_threads(int count);
