// See ring.h.
#include "ring.h"

#include <cerrno>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace picket
{

Ring::~Ring()
{
    close();
}

int Ring::open(int map_fd, size_t bytes)
{
    page_ = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    bytes_ = bytes;
    void *consumer = mmap(nullptr, page_, PROT_READ | PROT_WRITE, MAP_SHARED, map_fd, 0);
    if (consumer == MAP_FAILED)
        return errno;
    consumer_ = static_cast<uint64_t *>(consumer);
    void *producer = mmap(nullptr, page_ + mapped_bytes(), PROT_READ, MAP_SHARED, map_fd,
                          static_cast<off_t>(page_));
    if (producer == MAP_FAILED) {
        int error = errno;
        close();
        return error;
    }
    producer_ = static_cast<uint8_t *>(producer);
    data_ = producer_ + page_;
    position_ = __atomic_load_n(consumer_, __ATOMIC_ACQUIRE);
    return 0;
}

void Ring::close()
{
    if (consumer_)
        munmap(consumer_, page_);
    if (producer_)
        munmap(producer_, page_ + mapped_bytes());
    consumer_ = nullptr;
    producer_ = nullptr;
    data_ = nullptr;
}

size_t Ring::read(Slot *slots, size_t capacity)
{
    if (!producer_)
        return 0;
    const uint64_t end = __atomic_load_n(reinterpret_cast<uint64_t *>(producer_), __ATOMIC_ACQUIRE);
    size_t count = 0;
    while (position_ < end && count < capacity) {
        const size_t at = position_ & (bytes_ - 1);
        const uint32_t header =
            __atomic_load_n(reinterpret_cast<uint32_t *>(data_ + at), __ATOMIC_ACQUIRE);
        if (header & BPF_RINGBUF_BUSY_BIT)
            break;
        const uint32_t size = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
        if (!(header & BPF_RINGBUF_DISCARD_BIT))
            slots[count++] = {static_cast<uint32_t>(at + BPF_RINGBUF_HDR_SZ), size};
        position_ += (size + BPF_RINGBUF_HDR_SZ + 7) & ~uint64_t{7};
    }
    return count;
}

void Ring::advance()
{
    if (consumer_)
        __atomic_store_n(consumer_, position_, __ATOMIC_RELEASE);
}

size_t Ring::pending() const
{
    if (!producer_)
        return 0;
    return __atomic_load_n(reinterpret_cast<uint64_t *>(producer_), __ATOMIC_ACQUIRE) - position_;
}

} // namespace picket
