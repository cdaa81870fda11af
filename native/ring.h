// The consumer side of a BPF ring buffer (Linux Documentation/bpf/ringbuf.rst), without callbacks
// and copies: the caller gets the places of committed records and gives them back in one step. Main
// thread only.
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

    // Places of committed records from the consumer's position on, up to `capacity`.
    size_t read(Slot *slots, size_t capacity);
    // Releases what read() has returned.
    void advance();
    size_t pending() const;

    void *data() const
    {
        return data_;
    }
    // The data area, and behind it once more as much of its beginning as one record can reach into.
    size_t mapped_bytes() const
    {
        return bytes_ + std::min(bytes_, longest_record);
    }

  private:
    uint64_t *consumer_ = nullptr;
    uint8_t *producer_ = nullptr;
    uint8_t *data_ = nullptr;
    size_t bytes_ = 0;
    size_t page_ = 0;
    uint64_t position_ = 0;
};

} // namespace picket
