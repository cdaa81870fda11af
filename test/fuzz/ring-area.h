// A ring as the kernel shares it with us, made of ordinary memory, and random numbers that are the
// same every time.
#pragma once

#include "../../native/ring.h"

#include <cstddef>
#include <cstdint>

class Random
{
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    // splitmix64
    uint64_t word()
    {
        uint64_t mixed = state_ += 0x9e3779b97f4a7c15;
        mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
        mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
        return mixed ^ (mixed >> 31);
    }
    uint64_t below(uint64_t limit)
    {
        return word() % limit;
    }

  private:
    uint64_t state_;
};

inline uint64_t round_up(uint64_t bytes)
{
    return (bytes + 7) & ~uint64_t{7};
}

// What the kernel shares with us, each part an allocation of its own, so that ASan sees every step
// beyond it.
struct Area {
    explicit Area(size_t bytes)
        : bytes(bytes), consumer(new uint64_t(0)), producer(new uint64_t(0)),
          words(new uint64_t[bytes / 8]())
    {
    }
    Area(const Area &) = delete;
    ~Area()
    {
        delete consumer;
        delete producer;
        delete[] words;
    }

    uint32_t &header(uint64_t position)
    {
        return *reinterpret_cast<uint32_t *>(&words[(position & (bytes - 1)) / 8]);
    }
    picket::RingReader reader()
    {
        return picket::RingReader(consumer, producer, reinterpret_cast<uint8_t *>(words), bytes);
    }
    void move_to(uint64_t position)
    {
        *consumer = *producer = position;
    }

    const size_t bytes;
    uint64_t *const consumer;
    uint64_t *const producer;
    uint64_t *const words;
};
