/* Reads along in somebody's ring: gives all that is produced back to the kernel, which then writes
 * over what its owner has not read. Usage: ring MAP_ID */
#include <linux/bpf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

static volatile uint64_t *page_of(int fd, int protection, off_t place)
{
    void *page = mmap(NULL, sysconf(_SC_PAGESIZE), protection, MAP_SHARED, fd, place);
    if (page == MAP_FAILED) {
        perror("mmap");
        exit(1);
    }
    return page;
}

int main(int count, char **arguments)
{
    if (count != 2)
        return 2;
    union bpf_attr attributes;
    memset(&attributes, 0, sizeof(attributes));
    attributes.map_id = strtoul(arguments[1], NULL, 10);
    int fd = syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &attributes, sizeof(attributes));
    if (fd < 0) {
        perror("bpf");
        return 1;
    }
    volatile uint64_t *consumer = page_of(fd, PROT_READ | PROT_WRITE, 0);
    volatile uint64_t *producer = page_of(fd, PROT_READ, sysconf(_SC_PAGESIZE));
    printf("{\"skipped\":%llu}\n", (unsigned long long)(*producer - *consumer));
    *consumer = *producer;
    return 0;
}
