// What the triggers of acts have in common: one JSON object for each act, with the system call and
// what the kernel answered, for tests to compare with the event.
#pragma once

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static void die(const char *what)
{
    fprintf(stderr, "act: %s: %s\n", what, strerror(errno));
    exit(99);
}

static long call(long number, long a, long b, long c, long d, long e)
{
    long result = syscall(number, a, b, c, d, e, 0);
    return result < 0 ? -errno : result;
}

static void say(long number, long result)
{
    printf("{\"pid\":%d,\"syscall\":%ld,\"result\":%ld", getpid(), number, result);
}

static void say_number(const char *name, unsigned long long number)
{
    printf(",\"%s\":%llu", name, number);
}

static void end(void)
{
    puts("}");
    fflush(stdout);
}
