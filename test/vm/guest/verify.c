/* Loads the programs of an object and prints one JSON line each: what the verifier walked, or the
 * end of what it said. All at once, since the kernel's types take an emulated processor a second to
 * read for each load; where one is refused, it by itself and then the rest. The verifier's log
 * tells the number on every kernel, bpf_prog_info only from 5.16 on. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { most_programs = 256, log_bytes = 4096 };

/* What the verifier said of each program, with statistics alone. */
static char logs[most_programs][log_bytes];
static bool counted[most_programs];

/* The largest log that kernels before 6.4 take; later ones keep the end of a longer one. */
static char log_text[(1 << 24) - 1];
static const size_t tail_bytes = 3000;

static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
    (void)level;
    (void)format;
    (void)arguments;
    return 0;
}

static int load_one(const char *path, const char *name, int log_level)
{
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    if (!object)
        return -1;
    struct bpf_program *program;
    bpf_object__for_each_program(program, object)
    {
        bool wanted = strcmp(bpf_program__name(program), name) == 0;
        bpf_program__set_autoload(program, wanted);
        if (!wanted)
            continue;
        log_text[0] = '\0';
        bpf_program__set_log_buf(program, log_text, sizeof(log_text));
        bpf_program__set_log_level(program, log_level);
    }
    int error = bpf_object__load(object);
    bpf_object__close(object);
    return error;
}

static void print_string(const char *text)
{
    putchar('"');
    for (; *text; text++) {
        unsigned char byte = *text;
        if (byte == '"' || byte == '\\')
            printf("\\%c", byte);
        else if (byte < 0x20 || byte > 0x7e)
            printf("\\u%04x", byte);
        else
            putchar(byte);
    }
    putchar('"');
}

static void print_count(const char *name, const char *log)
{
    const char *processed = strstr(log, "processed ");
    printf("{\"program\":\"%s\",\"instructions\":%ld,\"error\":0}\n", name,
           processed ? atol(processed + 10) : 0);
}

static const int statistics = 4, everything = 5; /* BPF_LOG_STATS, with BPF_LOG_LEVEL1 */

/* By itself, which tells for certain. Returns whether the kernel takes it. */
static bool print_one(const char *path, const char *name)
{
    int error = load_one(path, name, statistics);
    if (!error) {
        print_count(name, log_text);
        return true;
    }
    load_one(path, name, everything);
    size_t length = strlen(log_text);
    printf("{\"program\":\"%s\",\"instructions\":0,\"error\":%d,\"log\":", name, error);
    print_string(log_text + (length > tail_bytes ? length - tail_bytes : 0));
    printf("}\n");
    return false;
}

/* Loads what is not counted yet. Returns whether something is left. */
static bool load_rest(const char *path)
{
    struct bpf_object *object = bpf_object__open_file(path, NULL);
    if (!object)
        return false;
    struct bpf_program *program;
    int count = 0;
    bpf_object__for_each_program(program, object)
    {
        bpf_program__set_autoload(program, !counted[count]);
        logs[count][0] = '\0';
        bpf_program__set_log_buf(program, logs[count], log_bytes);
        bpf_program__set_log_level(program, statistics);
        count++;
    }
    bool refused = bpf_object__load(object) != 0;
    /* Loaded one after the other, up to the one that is refused: that has the last log, or, when
     * the kernel had not come to its code, none. */
    int last = -1;
    for (int i = 0; i < count; i++)
        if (!counted[i] && logs[i][0])
            last = i;
    int place = 0;
    bool left = false;
    bpf_object__for_each_program(program, object)
    {
        const char *name = bpf_program__name(program);
        const int i = place++;
        if (counted[i] || left)
            continue;
        counted[i] = true;
        if (!refused || i < last)
            print_count(name, logs[i]);
        else
            left = !print_one(path, name);
    }
    bpf_object__close(object);
    return left;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: verify OBJECT\n");
        return 2;
    }
    libbpf_set_print(quiet);
    struct bpf_object *object = bpf_object__open_file(argv[1], NULL);
    if (!object) {
        perror(argv[1]);
        return 1;
    }
    int count = 0;
    struct bpf_program *program;
    bpf_object__for_each_program(program, object) count++;
    bpf_object__close(object);
    if (count > most_programs) {
        fprintf(stderr, "verify: more than %d programs\n", most_programs);
        return 1;
    }
    while (load_rest(argv[1]))
        ;
    return 0;
}
