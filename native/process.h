// Small system calls that Node has no name for. Each returns a negative errno on failure.
#pragma once

#include <string>
#include <sys/socket.h>

namespace picket
{

int pidfd_open(int pid);
int pidfd_signal(int pidfd, int signal);
// 1 when the process has ended, 0 while it runs.
int pidfd_exited(int pidfd);
// A descriptor that holds the lock, or -EWOULDBLOCK when another process does.
int lock_file(const std::string &path);
int notify(const std::string &socket, const std::string &text);
// Who connected to a Unix socket, as of that moment.
int peer_credentials(int descriptor, ucred *out);
// Bytes in a socket's send queue: sent on TCP and not confirmed by the far kernel, or not sent yet.
int socket_unconfirmed(int descriptor);

} // namespace picket
