// Opens or executes a name while another thread makes it stand for the one and the other of two
// files: swap HOW TRIES DIRECTORY. Writes to DIRECTORY/log what fstat() said of each opened file
// (its inode, 8 bytes; 0 when none was opened), or pid and exit code of each execution (4 bytes
// each). HOW: memory (the name itself), symlink, rename; descriptor (what the number of the open
// stands for); exec-symlink, exec-rename.
#define _GNU_SOURCE
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *how;
static char name[16] = "a";
static atomic_int number = -1, over;
static int other;

static long must(long result)
{
    if (result >= 0)
        return result;
    perror("swap");
    exit(99);
}

// A whole program that ends with `code`, too small to be slow.
static unsigned long make_program(const char *path, unsigned code)
{
#if defined(__x86_64__)
    unsigned char text[] = {0xb8, 60, 0, 0, 0, 0xbf, code, 0, 0, 0, 0x0f, 0x05};
    const int machine = EM_X86_64;
#else
    uint32_t text[] = {0xd2800ba8, 0xd2800000 | code << 5, 0xd4000001};
    const int machine = EM_AARCH64;
#endif
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
        char text[sizeof(text)];
    } program = {
        .header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                   .e_type = ET_EXEC,
                   .e_machine = machine,
                   .e_version = EV_CURRENT,
                   .e_entry = 0x400000 + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr),
                   .e_phoff = sizeof(Elf64_Ehdr),
                   .e_ehsize = sizeof(Elf64_Ehdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 1},
        .segment = {.p_type = PT_LOAD,
                    .p_flags = PF_R | PF_X,
                    .p_vaddr = 0x400000,
                    .p_filesz = sizeof(program),
                    .p_memsz = sizeof(program),
                    .p_align = 4096},
    };
    memcpy(program.text, text, sizeof(text));
    int fd = must(open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755));
    must(write(fd, &program, sizeof(program)));
    struct stat file;
    must(fstat(fd, &file));
    close(fd);
    return file.st_ino;
}

static void *meddle(void *unused)
{
    const char *by = strncmp(how, "exec-", 5) ? how : how + 5;
    for (unsigned turn = 0; !over; turn++) {
        if (!strcmp(by, "memory")) {
            ((volatile char *)name)[0] = turn & 1 ? 'a' : 'b';
            for (volatile int wait = 0; wait < 50; wait++)
                ;
        } else if (!strcmp(by, "symlink")) {
            must(symlink(turn & 1 ? "a" : "b", "new"));
            must(rename("new", "link"));
        } else if (!strcmp(by, "rename")) {
            must(syscall(SYS_renameat2, AT_FDCWD, "a", AT_FDCWD, "b", 2 /* exchange */));
        } else if (fcntl(number, F_GETFD) >= 0) {
            dup2(other, number);
        }
    }
    return unused;
}

static void open_it(int log)
{
    struct stat file = {0};
    int fd = open(name, O_RDONLY);
    fstat(fd, &file);
    close(fd);
    if (number >= 0 && fd != number) // taken by the other thread
        close(number);
    uint64_t inode = file.st_ino;
    must(write(log, &inode, sizeof(inode)));
}

static void execute_it(int log)
{
    int status;
    uint32_t entry[2];
    pid_t child = vfork();
    if (child == 0) {
        execve(name, (char *[]){"swap", NULL}, (char *[]){NULL});
        _exit(errno == ENOENT ? 100 : 101);
    }
    must(child);
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            must(-1);
    entry[0] = child;
    entry[1] = WEXITSTATUS(status);
    must(write(log, entry, sizeof(entry)));
}

int main(int count, char **arguments)
{
    if (count < 4)
        return 98;
    how = arguments[1];
    const int tries = atoi(arguments[2]);
    must(chdir(arguments[3]));
    const unsigned long first = make_program("a", 1);
    make_program("b", 2);
    if (strstr(how, "symlink")) {
        unlink("link");
        must(symlink("a", "link"));
        strcpy(name, "link");
    }
    int log = must(open("log", O_WRONLY | O_CREAT | O_TRUNC, 0600));
    other = must(open("b", O_RDONLY));
    if (!strcmp(how, "descriptor"))
        number = other + 1;
    pthread_t thread;
    must(-pthread_create(&thread, NULL, meddle, NULL));
    for (int i = 0; i < tries; i++)
        (strncmp(how, "exec-", 5) ? open_it : execute_it)(log);
    over = 1;
    pthread_join(thread, NULL);
    printf("{\"first\":%lu}\n", first);
    return 0;
}
