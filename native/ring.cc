// See ring.h.
#include "ring.h"

#include <cerrno>
#include <linux/bpf.h>
#include <sys/mman.h>
#include <unistd.h>

namespace picket
{

namespace
{

constexpr uint64_t alignment = 8;

// Passed over in one read: the largest ring has room for so many that it would take too long.
constexpr size_t most_discarded = 1024 * 1024;

} // namespace

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
    consumer_ = consumer;
    void *producer = mmap(nullptr, page_ + mapped_bytes(), PROT_READ, MAP_SHARED, map_fd,
                          static_cast<off_t>(page_));
    if (producer == MAP_FAILED) {
        int error = errno;
        close();
        return error;
    }
    producer_ = static_cast<uint8_t *>(producer);
    reader_ = RingReader(static_cast<uint64_t *>(consumer), static_cast<uint64_t *>(producer),
                         producer_ + page_, bytes_);
    return 0;
}

void Ring::close()
{
    reader_ = RingReader();
    if (consumer_)
        munmap(consumer_, page_);
    if (producer_)
        munmap(producer_, page_ + mapped_bytes());
    consumer_ = nullptr;
    producer_ = nullptr;
}

RingReader::RingReader(uint64_t *consumer, const uint64_t *producer, const uint8_t *data,
                       size_t bytes)
    : consumer_(consumer), producer_(producer), data_(data), bytes_(bytes),
      position_(__atomic_load_n(consumer, __ATOMIC_ACQUIRE))
{
}

size_t RingReader::read(Slot *slots, size_t capacity)
{
    if (!producer_)
        return 0;
    const uint64_t produced = __atomic_load_n(producer_, __ATOMIC_ACQUIRE);
    const uint64_t end = produced & ~(alignment - 1);
    // The difference, not the order: positions may pass 2^64.
    if (end != position_ && (produced != end || position_ % alignment || end - position_ > bytes_))
        skip_to(end);
    size_t count = 0;
    for (size_t discarded = 0;
         position_ != end && count < capacity && discarded < most_discarded;) {
        const size_t at = position_ & (bytes_ - 1);
        const uint32_t header =
            __atomic_load_n(reinterpret_cast<const uint32_t *>(data_ + at), __ATOMIC_ACQUIRE);
        if (header & BPF_RINGBUF_BUSY_BIT)
            break;
        const uint32_t size = header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT);
        const uint64_t step = (size + BPF_RINGBUF_HDR_SZ + alignment - 1) & ~(alignment - 1);
        if (size > longest_record || step > end - position_) {
            skip_to(end);
            break;
        }
        if (header & BPF_RINGBUF_DISCARD_BIT)
            discarded++;
        else
            slots[count++] = {static_cast<uint32_t>(at + BPF_RINGBUF_HDR_SZ), size};
        position_ += step;
    }
    return count;
}

void RingReader::skip_to(uint64_t position)
{
    damages_++;
    position_ = position;
}

void RingReader::advance()
{
    if (consumer_)
        __atomic_store_n(consumer_, position_, __ATOMIC_RELEASE);
}

size_t RingReader::pending() const
{
    if (!producer_)
        return 0;
    return (__atomic_load_n(producer_, __ATOMIC_ACQUIRE) & ~(alignment - 1)) - position_;
}

} // namespace picket
