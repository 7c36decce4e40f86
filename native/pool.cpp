#include "pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>
#ifndef _WIN32
#include <pthread.h>
#endif

namespace {

class Pool {
 public:
  explicit Pool(int workers) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }

  ~Pool() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  int size() const { return int(threads_.size()) + 1; }

  void run(int count, const std::function<void(int)>& task) {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      task_ = &task;
      count_ = count;
      next_ = 0;
      busy_ = int(threads_.size());
      ++job_;
    }
    wake_.notify_all();
    drain(task, count);
    std::unique_lock<std::mutex> lock(mutex_);
    done_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void drain(const std::function<void(int)>& task, int count) {
    for (int i = next_++; i < count; i = next_++) task(i);
  }

  void work() {
    long seen = 0;
    std::unique_lock<std::mutex> lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return stop_ || job_ != seen; });
      if (stop_) return;
      seen = job_;
      const auto& task = *task_;
      int count = count_;
      lock.unlock();
      drain(task, count);
      lock.lock();
      if (--busy_ == 0) done_.notify_one();
    }
  }

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<int> next_{0};
  const std::function<void(int)>* task_ = nullptr;
  int count_ = 0, busy_ = 0;
  long job_ = 0;
  bool stop_ = false;
};

std::mutex gate;  // One job at a time, whoever asks.
Pool* pool = nullptr;
int wanted = 0;

// A forked child has none of its parent's threads: it must start its own.
void forget() {
  pool = nullptr;
  new (&gate) std::mutex;
}

Pool& ready() {
#ifndef _WIN32
  static const int registered = pthread_atfork(nullptr, nullptr, forget);
  (void)registered;
#endif
  if (!wanted) wanted = std::max(1, int(std::thread::hardware_concurrency()));
  if (pool && pool->size() != wanted) {
    delete pool;
    pool = nullptr;
  }
  if (!pool) pool = new Pool(wanted - 1);
  return *pool;
}

}  // namespace

void parallel(int count, const std::function<void(int)>& task) {
  std::lock_guard<std::mutex> lock(gate);
  ready().run(count, task);
}

int threads() {
  std::lock_guard<std::mutex> lock(gate);
  return ready().size();
}

void set_threads(int count) {
  std::lock_guard<std::mutex> lock(gate);
  wanted = std::max(1, count);
}
