// The consumer side of a BPF ring buffer (Linux Documentation/bpf/ringbuf.rst), without callbacks
// and copies: the caller gets the places of committed records and gives them back in one step. Main
// thread only. test/fuzz/ring.cc feeds the reader nonsense.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace picket
{

struct Slot {
    uint32_t offset; // of the record's first byte in the data area
    uint32_t size;
};

// No record of ours is longer (bpf/record.h).
constexpr size_t longest_record = 64 * 1024;

// Walks a ring that lies in memory. Whatever the memory holds, what it gives out lies within the
// ring, and every call ends soon.
class RingReader
{
  public:
    RingReader() = default;
    // `bytes`: of the data area, a power of two. `data` is read in its first `bytes` only.
    RingReader(uint64_t *consumer, const uint64_t *producer, const uint8_t *data, size_t bytes);

    // Places of committed records from the consumer's position on, up to `capacity`. Where
    // something makes no sense it goes on behind everything that has been produced: the one place
    // of which is known that a record begins there.
    size_t read(Slot *slots, size_t capacity);
    // Releases what read() has returned.
    void advance();
    size_t pending() const;
    // How often it made no sense: the kernel's memory is damaged, or somebody else moved our
    // position and the kernel wrote over what we had not read. How many records were skipped nobody
    // knows.
    uint64_t damages() const
    {
        return damages_;
    }

  private:
    void skip_to(uint64_t position);

    uint64_t *consumer_ = nullptr;
    const uint64_t *producer_ = nullptr;
    const uint8_t *data_ = nullptr;
    size_t bytes_ = 0;
    uint64_t position_ = 0;
    uint64_t damages_ = 0;
};

class Ring
{
  public:
    Ring() = default;
    Ring(const Ring &) = delete;
    Ring &operator=(const Ring &) = delete;
    ~Ring();

    // Maps the ring behind `map_fd`. Returns 0 or an errno.
    int open(int map_fd, size_t bytes);
    void close();

    // Reads nothing before open() and after close().
    RingReader &reader()
    {
        return reader_;
    }
    void *data() const
    {
        return producer_ + page_;
    }
    // The data area, and behind it once more as much of its beginning as one record can reach into.
    size_t mapped_bytes() const
    {
        return bytes_ + std::min(bytes_, longest_record);
    }

  private:
    RingReader reader_;
    void *consumer_ = nullptr;
    uint8_t *producer_ = nullptr;
    size_t bytes_ = 0;
    size_t page_ = 0;
};

} // namespace picket
