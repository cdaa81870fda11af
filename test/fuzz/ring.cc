// Feeds native/ring.cc rings that the kernel would never write. Usage: ring SEED RECORDS. Every
// round has one mutated record or position among valid ones, and ends with a valid one that must
// come through. Prints one line of JSON; a failure names seed and round and ends with status 1.
#include "ring-area.h"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <linux/bpf.h>
#include <vector>

using picket::longest_record;
using picket::RingReader;
using picket::Slot;

namespace
{

constexpr uint64_t header_bytes = BPF_RINGBUF_HDR_SZ;
constexpr uint32_t flags = BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT;
constexpr double limit_ms = 50;

struct Record {
    uint64_t position;
    uint32_t size;
};

enum class Outcome {
    exact,    // every record but the mutated one, and nothing counted
    blocked,  // those before it, nothing counted; all the others once it is committed
    damaged,  // those before it, one damage counted
    anything, // those before it; what follows may look like records
};

struct Figures {
    uint64_t written = 0;
    uint64_t mutated = 0;
    uint64_t reads = 0;
    uint64_t given = 0;
    uint64_t damages = 0;
    double slowest_ms = 0;
};

class Fuzzer
{
  public:
    Fuzzer(uint64_t seed, size_t bytes, Figures &figures)
        : seed_(seed), random_(seed ^ bytes), area_(bytes), reader_(area_.reader()),
          slots_(new Slot[capacity_limit]), figures_(figures)
    {
    }
    ~Fuzzer()
    {
        delete[] slots_;
    }
    void round();
    void discarded_stretch();

  private:
    static constexpr size_t capacity_limit = 64;

    [[noreturn]] void fail(const char *what) const;
    void check(bool holds, const char *what) const
    {
        if (!holds)
            fail(what);
    }
    void start_at(uint64_t position);
    void write(uint64_t size);
    Outcome mutate(const Record &chosen);
    Outcome mutate_length(const Record &chosen);
    Outcome mutate_producer();
    size_t read_once(size_t capacity);
    void read_all();
    void expect(size_t from, size_t to, size_t without);
    void settle();

    const uint64_t seed_;
    uint64_t round_ = 0;
    uint64_t kind_ = 0;
    Random random_;
    Area area_;
    RingReader reader_;
    // Of this very size, so that ASan sees a slot too many.
    Slot *const slots_;
    Figures &figures_;
    std::vector<Record> records_;
    std::vector<Slot> given_;
};

void Fuzzer::fail(const char *what) const
{
    fprintf(stderr, "seed %llu, ring of %zu bytes, round %llu, mutation %llu: %s\n",
            static_cast<unsigned long long>(seed_), area_.bytes,
            static_cast<unsigned long long>(round_), static_cast<unsigned long long>(kind_), what);
    exit(1);
}

void Fuzzer::start_at(uint64_t position)
{
    area_.move_to(position);
    figures_.damages += reader_.damages();
    reader_ = area_.reader();
}

// As the kernel does: header, payload across the end and on at the beginning, then the position.
void Fuzzer::write(uint64_t size)
{
    const uint64_t position = *area_.producer;
    const uint64_t step = round_up(header_bytes + size);
    if (position + step - *area_.consumer > area_.bytes)
        return;
    // What a wrong length makes the reader take for a header: anything, or what looks like one.
    const uint64_t filling = random_.word();
    for (uint64_t at = header_bytes; at < step; at += 8)
        area_.words[((position + at) & (area_.bytes - 1)) / 8] =
            filling & 1 ? filling * at : (filling >> 8) & 0xff;
    area_.header(position) = static_cast<uint32_t>(size);
    *area_.producer = position + step;
    records_.push_back({position, static_cast<uint32_t>(size)});
    figures_.written++;
}

size_t Fuzzer::read_once(size_t capacity)
{
    const RingReader before = reader_;
    double best = 1e9;
    size_t count = 0;
    // On a busy machine the scheduler takes its time, too: only what is slow again is the reader.
    for (int attempt = 0; attempt < 3 && best > limit_ms; attempt++) {
        reader_ = before;
        const auto begun = std::chrono::steady_clock::now();
        count = reader_.read(slots_, capacity);
        const std::chrono::duration<double, std::milli> took =
            std::chrono::steady_clock::now() - begun;
        best = std::min(best, took.count());
    }
    figures_.slowest_ms = std::max(figures_.slowest_ms, best);
    figures_.reads++;
    check(best <= limit_ms, "a read took too long");
    check(count <= capacity, "more slots than there is room for");
    const uint64_t mapped = area_.bytes + std::min(area_.bytes, longest_record);
    for (size_t i = 0; i < count; i++) {
        const Slot &slot = slots_[i];
        check(slot.offset % 8 == 0, "a record that is not aligned");
        check(uint64_t{slot.offset} + slot.size <= mapped, "a record that reaches out of the ring");
        given_.push_back(slot);
    }
    figures_.given += count;
    return count;
}

// To the end, or to a record that is not committed.
void Fuzzer::read_all()
{
    for (size_t reads = 0;; reads++) {
        // A slot each read and none but headers in the ring: no more reads than this make progress.
        check(reads <= area_.bytes / header_bytes + 2, "reading does not end");
        const uint64_t waiting = reader_.pending();
        read_once(1 + random_.below(capacity_limit));
        reader_.advance();
        if (reader_.pending() == waiting || reader_.pending() == 0)
            break;
    }
    check(*area_.consumer == (*area_.producer & ~uint64_t{7}) - reader_.pending(),
          "what was read was not given back");
}

// The records from..to but `without`, and those only up to there, came out as they were written.
void Fuzzer::expect(size_t from, size_t to, size_t without)
{
    for (size_t i = from; i < to; i++) {
        if (i == without)
            continue;
        const size_t place = i - (without < i ? 1 : 0);
        check(place < given_.size(), "a record is missing");
        const uint32_t offset = (records_[i].position & (area_.bytes - 1)) + header_bytes;
        check(given_[place].offset == offset && given_[place].size == records_[i].size,
              "a record came out otherwise than it was written");
    }
}

Outcome Fuzzer::mutate_length(const Record &chosen)
{
    const uint64_t rest = *area_.producer - chosen.position - header_bytes;
    uint32_t &header = area_.header(chosen.position);
    uint64_t length = 0;
    switch (random_.below(8)) {
    case 0:
        length = 0;
        break;
    case 1:
        length = random_.word();
        break;
    case 2:
        length = rest + 1 + random_.below(64);
        break;
    case 3:
        length = rest;
        break;
    case 4:
        length = longest_record + random_.below(3) - 1;
        break;
    case 5:
        length = chosen.size ^ (uint64_t{1} << random_.below(30));
        break;
    case 6:
        length = random_.below(area_.bytes * 2);
        break;
    default:
        length = random_.below(rest + 1);
        break;
    }
    length &= ~flags;
    const uint32_t discard = random_.below(4) == 0 ? uint32_t{BPF_RINGBUF_DISCARD_BIT} : 0;
    header = static_cast<uint32_t>(length) | discard;
    if (length > longest_record || round_up(length) > rest)
        return Outcome::damaged;
    return Outcome::anything;
}

Outcome Fuzzer::mutate_producer()
{
    const uint64_t end = *area_.producer;
    const uint64_t begin = *area_.consumer;
    uint64_t moved = 0;
    switch (random_.below(6)) {
    case 0:
        moved = begin - 8 * (1 + random_.below(area_.bytes));
        break;
    case 1:
        moved = begin + area_.bytes + 8 * (1 + random_.below(area_.bytes));
        break;
    case 2:
        moved = end + 1 + random_.below(7);
        break;
    case 3:
        moved = random_.word();
        break;
    case 4:
        moved = end ^ (uint64_t{1} << (20 + random_.below(44)));
        break;
    default:
        moved = begin + (uint64_t{1} << 63);
        break;
    }
    *area_.producer = moved;
    // Nobody can tell a position that is possible from the true one.
    if (moved % 8 == 0 && moved - begin <= area_.bytes)
        return Outcome::anything;
    return Outcome::damaged;
}

Outcome Fuzzer::mutate(const Record &chosen)
{
    uint32_t &header = area_.header(chosen.position);
    kind_ = random_.below(12);
    switch (kind_) {
    case 0:
        header |= BPF_RINGBUF_BUSY_BIT | (random_.word() & BPF_RINGBUF_DISCARD_BIT);
        return Outcome::blocked;
    case 1:
        header |= BPF_RINGBUF_DISCARD_BIT;
        return Outcome::exact;
    case 2:
        // Its number of pages, behind the length: the kernel's own business.
        area_.words[(chosen.position & (area_.bytes - 1)) / 8] ^= random_.word() << 32;
        return Outcome::exact;
    case 3:
        header = static_cast<uint32_t>(random_.word());
        return Outcome::anything;
    case 4:
        return mutate_producer();
    case 5:
        // A reader that finds a position which is none.
        *area_.consumer =
            random_.below(2) ? random_.word() : chosen.position + random_.below(64) - 32;
        figures_.damages += reader_.damages();
        reader_ = area_.reader();
        return Outcome::anything;
    case 6:
        // Somebody else reads along: our own place counts.
        *area_.consumer = random_.word();
        return Outcome::exact;
    default:
        return mutate_length(chosen);
    }
}

void Fuzzer::round()
{
    round_++;
    records_.clear();
    given_.clear();
    if (random_.below(64) == 0) // soon past 2^64
        start_at(-8 * random_.below(64));
    const size_t wanted = 1 + random_.below(8);
    for (size_t i = 0; i < wanted; i++)
        write(random_.below(random_.below(16) == 0 ? std::min(area_.bytes / 4, longest_record)
                                                   : 256));
    const size_t chosen = random_.below(records_.size());
    const Record was = records_[chosen];
    const uint32_t header = area_.header(was.position);
    const Outcome outcome = mutate(was);
    figures_.mutated++;
    const uint64_t before = reader_.damages();
    read_all();
    const uint64_t damages = reader_.damages() - before;
    switch (outcome) {
    case Outcome::exact: {
        const size_t without = kind_ == 1 ? chosen : records_.size();
        check(damages == 0, "damage where there is none");
        check(given_.size() == records_.size() - (kind_ == 1), "too many or too few records");
        expect(0, records_.size(), without);
        break;
    }
    case Outcome::blocked:
        check(damages == 0, "damage where there is none");
        check(given_.size() == chosen, "what is not committed came out, or what is did not");
        area_.header(was.position) = header;
        read_all();
        check(given_.size() == records_.size(), "too many or too few records");
        expect(0, records_.size(), records_.size());
        break;
    case Outcome::damaged:
        check(damages == 1, "damage was not counted once");
        check(kind_ == 4 ? given_.empty() : given_.size() == chosen, "records out of nonsense");
        expect(0, given_.size(), records_.size());
        break;
    case Outcome::anything:
        check(damages <= 1, "the same damage was counted twice");
        if (kind_ != 4 && kind_ != 5)
            expect(0, chosen, records_.size());
        break;
    }
    settle();
}

// Whatever happened: what is produced from now on comes out.
void Fuzzer::settle()
{
    *area_.producer &= ~uint64_t{7};
    if (reader_.pending() > 0) // nonsense that looks like a record to come
        start_at(*area_.producer);
    const uint64_t damages = reader_.damages();
    records_.clear();
    given_.clear();
    write(random_.below(128));
    read_all();
    check(records_.size() == 1 && given_.size() == 1, "the reader did not find its way back");
    expect(0, 1, 1);
    check(reader_.damages() == damages, "damage where there is none");
}

// A ring full of nothing but the smallest discarded records.
void Fuzzer::discarded_stretch()
{
    start_at(0);
    for (size_t i = 0; i < area_.bytes / 8; i++)
        area_.words[i] = BPF_RINGBUF_DISCARD_BIT;
    *area_.producer = area_.bytes;
    read_all();
    check(reader_.pending() == 0 && reader_.damages() == 0, "discarded records were not passed");
}

} // namespace

int main(int count, char **arguments)
{
    if (count != 3) {
        fprintf(stderr, "usage: ring SEED RECORDS\n");
        return 2;
    }
    const uint64_t seed = strtoull(arguments[1], nullptr, 0);
    const uint64_t wanted = strtoull(arguments[2], nullptr, 0);
    const auto begun = std::chrono::steady_clock::now();
    Figures figures;
    // Smaller than the longest record, as long, larger.
    for (const size_t bytes : {size_t{4096}, size_t{65536}, size_t{1024 * 1024}}) {
        Fuzzer fuzzer(seed, bytes, figures);
        for (uint64_t i = 0; i < (wanted + 2) / 3; i++)
            fuzzer.round();
    }
    Fuzzer(seed, 128 * 1024 * 1024, figures).discarded_stretch();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
    printf("{\"seed\":%llu,\"mutated\":%llu,\"written\":%llu,\"given\":%llu,\"damages\":%llu,"
           "\"reads\":%llu,\"seconds\":%.1f,\"slowestMs\":%.3f}\n",
           static_cast<unsigned long long>(seed), static_cast<unsigned long long>(figures.mutated),
           static_cast<unsigned long long>(figures.written),
           static_cast<unsigned long long>(figures.given),
           static_cast<unsigned long long>(figures.damages),
           static_cast<unsigned long long>(figures.reads), took.count(), figures.slowest_ms);
    return 0;
}
