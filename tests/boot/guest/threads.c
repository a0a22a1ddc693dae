// A load for several CPUs that checks itself: prints "threads: <sum> ok" where the sum doesn't depend on the schedule.
//
// Parts: counters under a contended mutex and by atomic instructions; a ring of threads that hand a token on by
// condition variables; forked processes that pass numbers through pipes; a barrier; a futex used directly; private
// pages written in parents and children (copy on write, TLB shootdowns by mprotect). Static, so that busybox's
// initramfs needs no libraries.
#define _GNU_SOURCE
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { THREADS = 8, ROUNDS = 2000, TURNS = 150, PIPES = 4, NUMBERS = 3000, PAGES = 64 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static uint64_t under_mutex;
static _Atomic uint64_t by_atomics;
static _Atomic uint32_t maximum;
static pthread_barrier_t barrier;

static void fail(const char* what) {
  printf("threads: failed: %s\n", what);
  exit(1);
}

static void* count(void* argument) {
  const uint64_t id = (uintptr_t)argument;
  pthread_barrier_wait(&barrier);
  for (uint64_t i = 0; i < ROUNDS; ++i) {
    pthread_mutex_lock(&mutex);
    under_mutex += id * i + 1;
    if (i % 64 == 0) sched_yield();
    pthread_mutex_unlock(&mutex);
    atomic_fetch_add(&by_atomics, id ^ i);
    uint32_t seen = atomic_load(&maximum);
    while (seen < id * i && !atomic_compare_exchange_weak(&maximum, &seen, (uint32_t)(id * i))) {
    }
  }
  return NULL;
}

static uint64_t run_counters(void) {
  pthread_t threads[THREADS];
  pthread_barrier_init(&barrier, NULL, THREADS);
  for (uintptr_t i = 0; i < THREADS; ++i) pthread_create(&threads[i], NULL, count, (void*)i);
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  uint64_t mutexes = 0, atomics = 0;
  for (uint64_t id = 0; id < THREADS; ++id) {
    for (uint64_t i = 0; i < ROUNDS; ++i) {
      mutexes += id * i + 1;
      atomics += id ^ i;
    }
  }
  if (under_mutex != mutexes) fail("a mutex let two in");
  if (by_atomics != atomics) fail("an atomic addition was lost");
  if (maximum != (THREADS - 1) * (ROUNDS - 1)) fail("the maximum is off");
  return under_mutex * 31 + by_atomics * 7 + maximum;
}

static pthread_cond_t turned[THREADS];
static int turn;
static uint64_t trail;

static void* pass_token(void* argument) {
  const int id = (int)(uintptr_t)argument;
  for (int i = 0; i < TURNS; ++i) {
    pthread_mutex_lock(&mutex);
    while (turn != id) pthread_cond_wait(&turned[id], &mutex);
    trail = trail * 1099511628211u + (uint64_t)id + 1;
    turn = (turn + 1) % THREADS;
    pthread_cond_signal(&turned[turn]);
    pthread_mutex_unlock(&mutex);
  }
  return NULL;
}

static uint64_t run_ring(void) {
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; ++i) pthread_cond_init(&turned[i], NULL);
  for (uintptr_t i = 0; i < THREADS; ++i) pthread_create(&threads[i], NULL, pass_token, (void*)i);
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  uint64_t expected = 0;
  for (int i = 0; i < TURNS * THREADS; ++i) expected = expected * 1099511628211u + (uint64_t)(i % THREADS) + 1;
  if (trail != expected) fail("the token went astray");
  return trail;
}

static void move(int from, int to, uint64_t add) {
  for (int i = 0; i < NUMBERS; ++i) {
    uint64_t number;
    if (read(from, &number, sizeof number) != sizeof number) _exit(1);
    number += add;
    if (write(to, &number, sizeof number) != sizeof number) _exit(1);
  }
}

/// A chain of processes; each adds its number to what passes.
static uint64_t run_pipes(void) {
  int ends[PIPES + 1][2];
  for (int i = 0; i <= PIPES; ++i) {
    if (pipe(ends[i]) != 0) fail("pipe");
  }
  for (int i = 0; i < PIPES; ++i) {
    const pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
      move(ends[i][0], ends[i + 1][1], (uint64_t)i + 1);
      _exit(0);
    }
  }
  const pid_t writer = fork();
  if (writer == 0) {
    for (uint64_t i = 0; i < NUMBERS; ++i) {
      if (write(ends[0][1], &i, sizeof i) != sizeof i) _exit(1);
    }
    _exit(0);
  }
  uint64_t sum = 0;
  for (uint64_t i = 0; i < NUMBERS; ++i) {
    uint64_t number;
    if (read(ends[PIPES][0], &number, sizeof number) != sizeof number) fail("a pipe ended early");
    if (number != i + PIPES * (PIPES + 1) / 2) fail("a pipe changed a number");
    sum = sum * 33 + number;
  }
  for (int i = 0; i <= PIPES; ++i) {
    int status;
    if (wait(&status) < 0 || status != 0) fail("a child of the pipes");
  }
  return sum;
}

/// Two processes take turns by a futex in shared memory.
static uint64_t run_futex(void) {
  _Atomic uint32_t* word = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (word == MAP_FAILED) fail("mmap");
  const pid_t child = fork();
  const uint32_t mine = child == 0 ? 1 : 0;
  for (int i = 0; i < TURNS * 4;) {
    const uint32_t seen = atomic_load(word);
    if (seen % 2 != mine) {
      syscall(SYS_futex, word, FUTEX_WAIT, seen, NULL, NULL, 0);
      continue;
    }
    atomic_fetch_add(word, 1);
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
    ++i;
  }
  if (child == 0) _exit(0);
  int status;
  if (waitpid(child, &status, 0) != child || status != 0) fail("the futex's child");
  return *word;
}

static uint8_t* pages;

static void* touch_pages(void* argument) {
  const size_t id = (uintptr_t)argument;
  for (size_t round = 0; round < 20; ++round) {
    for (size_t page = id; page < PAGES; page += THREADS) {
      uint8_t* at = pages + page * 4096;
      at[round] = (uint8_t)(page + round);
      if (mprotect(at, 4096, PROT_READ) != 0 || mprotect(at, 4096, PROT_READ | PROT_WRITE) != 0) fail("mprotect");
    }
  }
  return NULL;
}

static uint64_t sum_pages(void) {
  uint64_t sum = 0;
  for (size_t i = 0; i < PAGES * 4096; ++i) sum = sum * 31 + pages[i];
  return sum;
}

/// Threads change protections while children copy the pages on write.
static uint64_t run_pages(void) {
  pages = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) fail("mmap");
  pthread_t threads[THREADS];
  for (uintptr_t i = 0; i < THREADS; ++i) pthread_create(&threads[i], NULL, touch_pages, (void*)i);
  for (int i = 0; i < THREADS; ++i) pthread_join(threads[i], NULL);
  const uint64_t before = sum_pages();
  for (int i = 0; i < 4; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      memset(pages, i, PAGES * 4096);
      _exit(pages[4095] == i && pages[PAGES * 4096 - 1] == i ? 0 : 1);
    }
  }
  for (int i = 0; i < 4; ++i) {
    int status;
    if (wait(&status) < 0 || status != 0) fail("a child of the pages");
  }
  if (sum_pages() != before) fail("a child's write reached its parent");
  return before;
}

int main(void) {
  setbuf(stdout, NULL);
  uint64_t sum = run_counters();
  sum = sum * 1000003 + run_ring();
  sum = sum * 1000003 + run_pipes();
  sum = sum * 1000003 + run_futex();
  sum = sum * 1000003 + run_pages();
  printf("threads: %016llx ok\n", (unsigned long long)sum);
  return 0;
}
