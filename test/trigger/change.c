// Calls the kernel as told, one system call a word, in one process, and prints each result:
//
//   rename,OLD,NEW  fchmod,#3,#0644  openat,#-100,PATH,#0 …
//
// An argument with # is a number, *N a name of N letters, any other a text in which %XX is a byte.
// Printed first: the process id.
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CALL(name)                                                                                 \
    {                                                                                              \
#name, SYS_##name                                                                          \
    }
/* Younger than some libraries' headers. */
#define SYS_fchmodat2     452
#define SYS_setxattrat    463
#define SYS_removexattrat 466

static const struct call {
    const char *name;
    long number;
} calls[] = {
#ifdef SYS_rename
    CALL(rename),       CALL(unlink),    CALL(rmdir),      CALL(mkdir),        CALL(mknod),
    CALL(link),         CALL(symlink),   CALL(chmod),      CALL(chown),        CALL(lchown),
#endif
    CALL(renameat),     CALL(renameat2), CALL(unlinkat),   CALL(mkdirat),      CALL(mknodat),
    CALL(linkat),       CALL(symlinkat), CALL(fchmod),     CALL(fchmodat),     CALL(fchmodat2),
    CALL(fchown),       CALL(fchownat),  CALL(truncate),   CALL(ftruncate),    CALL(setxattr),
    CALL(lsetxattr),    CALL(fsetxattr), CALL(setxattrat), CALL(removexattr),  CALL(lremovexattr),
    CALL(fremovexattr), CALL(chroot),    CALL(pivot_root), CALL(memfd_create), CALL(removexattrat),
    CALL(openat),       CALL(chdir),     CALL(close),      CALL(unshare),      CALL(mount),
    CALL(umask),
};

static long number_of(const char *name)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
        if (!strcmp(calls[i].name, name))
            return calls[i].number;
    fprintf(stderr, "change: what is %s?\n", name);
    exit(99);
}

static long argument(char *text)
{
    if (*text == '#')
        return strtol(text + 1, NULL, 0);
    if (*text == '*') {
        const size_t size = strtoul(text + 1, NULL, 0);
        char *name = malloc(size + 1);
        memset(name, 'n', size);
        name[size] = 0;
        return (long)name;
    }
    char *to = text;
    for (const char *from = text; *from; from++) {
        char hex[3] = {0};
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        memcpy(hex, from + 1, 2);
        *to++ = (char)strtoul(hex, NULL, 16);
        from += 2;
    }
    *to = 0;
    return (long)text;
}

int main(int count, char **words)
{
    printf("{\"pid\":%d}\n", getpid());
    for (int i = 1; i < count; i++) {
        long arguments[6] = {0};
        char *rest = words[i];
        const char *name = strsep(&rest, ",");
        for (int n = 0; n < 6 && rest; n++)
            arguments[n] = argument(strsep(&rest, ","));
        const long result = syscall(number_of(name), arguments[0], arguments[1], arguments[2],
                                    arguments[3], arguments[4], arguments[5]);
        printf("{\"result\":%ld}\n", result < 0 ? -errno : result);
    }
    return 0;
}
