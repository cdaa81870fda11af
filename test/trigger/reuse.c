// Gives one pid to one process after the other. For a pid namespace of its own, with /proc mounted.
// Reads letters: n ends the process it has, waits for the next tick of the kernel's clock and makes
// another with the same pid; a asks whether it lives. Answers "y" or "n".
//   reuse PID
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static pid_t renew(pid_t wanted)
{
    static pid_t child;
    if (child > 0) {
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
    }
    // A start time in /proc counts ticks of 10 ms.
    struct timespec tick = {0, 11000000};
    nanosleep(&tick, NULL);
    FILE *last = fopen("/proc/sys/kernel/ns_last_pid", "w");
    if (!last)
        return 0;
    fprintf(last, "%d", wanted - 1);
    fclose(last);
    child = fork();
    if (child == 0)
        for (;;)
            pause();
    return child;
}

int main(int argc, char **argv)
{
    pid_t wanted = argc > 1 ? atoi(argv[1]) : 0;
    for (char letter; read(0, &letter, 1) == 1;) {
        int yes = letter == 'n' ? renew(wanted) == wanted : waitpid(wanted, NULL, WNOHANG) == 0;
        if (write(1, yes ? "y" : "n", 1) != 1)
            return 1;
    }
    kill(wanted, SIGKILL);
    return 0;
}
