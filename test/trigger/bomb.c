// A fork bomb with an end: each of COUNT processes rests, makes its own successor and exits, for as
// long as TOTAL says, so that all are orphans and none lives longer than its REST (both in ms).
// "leave": each makes a session of its own. The first process leads the session and says its pid.
//   bomb COUNT TOTAL REST [leave]
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static long now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void rest(long ms)
{
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

static void go_on(long end, long ms, int leave)
{
    while (now_ms() < end) {
        rest(ms);
        if (leave)
            setsid();
        if (fork() > 0)
            _exit(0);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 99;
    long end = now_ms() + atol(argv[2]);
    signal(SIGCHLD, SIG_IGN);
    setsid();
    for (int i = atoi(argv[1]); i > 0; i--)
        if (fork() == 0)
            go_on(end, atol(argv[3]), argc > 4 && !strcmp(argv[4], "leave"));
    printf("{\"pid\":%d}\n", getpid());
    fflush(stdout);
    while (now_ms() < end)
        rest(100);
    return 0;
}
