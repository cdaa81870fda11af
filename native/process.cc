// See process.h.
#include "process.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

namespace picket
{

// By number: Debian 11's C library has no names for them yet.
int pidfd_open(int pid)
{
    long fd = syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : static_cast<int>(fd);
}

int pidfd_signal(int pidfd, int signal)
{
    return syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) ? -errno : 0;
}

int pidfd_exited(int pidfd)
{
    pollfd entry = {pidfd, POLLIN, 0};
    int ready = poll(&entry, 1, 0);
    return ready < 0 ? -errno : ready;
}

int lock_file(const std::string &path)
{
    int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX | LOCK_NB)) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

int notify(const std::string &socket_path, const std::string &text)
{
    sockaddr_un address = {};
    address.sun_family = AF_UNIX;
    if (socket_path.empty() || socket_path.size() >= sizeof(address.sun_path))
        return -EINVAL;
    memcpy(address.sun_path, socket_path.data(), socket_path.size());
    if (address.sun_path[0] == '@')
        address.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    const socklen_t size =
        static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path.size());
    ssize_t sent = sendto(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
                          reinterpret_cast<sockaddr *>(&address), size);
    int error = errno;
    close(fd);
    return sent < 0 ? -error : 0;
}

int peer_credentials(int descriptor, ucred *out)
{
    socklen_t size = sizeof(*out);
    return getsockopt(descriptor, SOL_SOCKET, SO_PEERCRED, out, &size) ? -errno : 0;
}

int socket_unconfirmed(int descriptor)
{
    int bytes = 0;
    return ioctl(descriptor, SIOCOUTQ, &bytes) ? -errno : bytes;
}

} // namespace picket
