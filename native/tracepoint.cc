// See tracepoint.h.
#include "tracepoint.h"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace picket
{

namespace
{

int detached_tracefs()
{
    const int context = static_cast<int>(syscall(SYS_fsopen, "tracefs", FSOPEN_CLOEXEC));
    if (context < 0)
        return -errno;
    int root = -1;
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) == 0)
        root = static_cast<int>(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, 0));
    const int error = errno;
    close(context);
    return root < 0 ? -error : root;
}

} // namespace

Tracefs::~Tracefs()
{
    if (root_ >= 0)
        close(root_);
}

int Tracefs::open_event(const std::string &tracepoint)
{
    if (root_ < 0) {
        root_ = open("/sys/kernel/tracing", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (root_ < 0 || faccessat(root_, "events", F_OK, 0)) {
            if (root_ >= 0)
                close(root_);
            root_ = detached_tracefs();
        }
        if (root_ < 0)
            return root_;
    }
    const int file = openat(root_, ("events/" + tracepoint + "/id").c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -errno;
    char text[32] = {};
    const ssize_t size = read(file, text, sizeof(text) - 1);
    close(file);
    if (size <= 0)
        return -EIO;

    perf_event_attr attributes = {};
    attributes.type = PERF_TYPE_TRACEPOINT;
    attributes.size = sizeof(attributes);
    attributes.config = strtoull(text, nullptr, 10);
    // A program on a tracepoint's event runs on every CPU, whichever one the event names.
    const long event = syscall(SYS_perf_event_open, &attributes, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
    return event < 0 ? -errno : static_cast<int>(event);
}

} // namespace picket
