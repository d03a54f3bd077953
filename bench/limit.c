/* The limit: what the machine takes to start programs, without any runtime. `limit SCRIPT COUNT JOBS` runs SCRIPT COUNT times, JOBS at once,
   with a record on stdin and both outputs read to their end, and prints the seconds that it took. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char record[650];

static void read_all(int descriptor) {
  char bytes[4096];
  while (read(descriptor, bytes, sizeof bytes) > 0) {}
  close(descriptor);
}

static void run(char *script, posix_spawnattr_t *attributes) {
  int out[2], err[2], in = memfd_create("record", MFD_CLOEXEC), status;
  if (in < 0 || pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC)) exit(1);
  if (pwrite(in, record, sizeof record, 0) < 0) exit(1);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  char *arguments[] = {script, NULL};
  pid_t pid;
  if (posix_spawn(&pid, script, &actions, attributes, arguments, environ)) exit(1);
  posix_spawn_file_actions_destroy(&actions);
  close(in), close(out[1]), close(err[1]);
  read_all(out[0]), read_all(err[0]);
  waitpid(pid, &status, 0);
}

int main(int count, char **arguments) {
  if (count != 4) return 2;
  int runs = atoi(arguments[2]), jobs = atoi(arguments[3]);
  struct timespec begin, end;
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  memset(record, 'r', sizeof record);
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int job = 0; job < jobs; job++)
    if (fork() == 0) {
      for (int at = job; at < runs; at += jobs) run(arguments[1], &attributes);
      _exit(0);
    }
  while (wait(NULL) > 0) {}
  clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.6f\n", end.tv_sec - begin.tv_sec + (end.tv_nsec - begin.tv_nsec) / 1e9);
  return 0;
}
