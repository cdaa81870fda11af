// See library.h.
#include "library.h"

#include <algorithm>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <pthread.h>

// What libbpf's own code gets for `stderr` (see binding.gyp). It writes there only through its
// default print function, which log_begin() replaces before anything is printed.
extern "C" {
[[gnu::visibility("hidden"), gnu::used]] FILE *__wrap_stderr = nullptr;
}

namespace picket
{

namespace
{

// libbpf prints; we keep the end of it for the error. Main thread only, like everything here.
std::string library_log;
constexpr size_t log_limit = 8192;

int keep_log(enum libbpf_print_level level, const char *format, va_list arguments)
{
    if (level == LIBBPF_DEBUG)
        return 0;
    // The verifier's log is one message, and says at its end what is wrong.
    va_list again;
    va_copy(again, arguments);
    int size = vsnprintf(nullptr, 0, format, arguments);
    std::string text(std::max(size, 0) + 1, '\0');
    vsnprintf(text.data(), text.size(), format, again);
    va_end(again);
    text.pop_back();
    library_log += text;
    if (library_log.size() > log_limit)
        library_log.erase(0, library_log.size() - log_limit);
    return size;
}

// The program a failed load names in its log, "" when none.
std::string failed_program()
{
    const char *mark = "prog '";
    size_t failed = library_log.rfind("': failed to load");
    if (failed == std::string::npos)
        failed = library_log.rfind("': BPF program load failed");
    if (failed == std::string::npos)
        return "";
    size_t start = library_log.rfind(mark, failed);
    return start == std::string::npos ? "" : library_log.substr(start + 6, failed - start - 6);
}

} // namespace

void log_begin()
{
    library_log.clear();
    libbpf_set_print(keep_log);
}

Failure failure(const char *code, int error, const std::string &what)
{
    return {code, what + ": " + strerror(error), "", library_log, error};
}

Failure load_object(bpf_object *object)
{
    // The kernel gives a verification up when a signal comes (a profiler's timer is enough).
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const int error = bpf_object__load(object);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (!error)
        return {};
    Failure failed = failure("LOAD", -error, "the kernel refused the programs");
    failed.program = failed_program();
    return failed;
}

} // namespace picket
