// The glue between Node and refuser.h.
#pragma once

#include <napi.h>

namespace picket
{

// The class Refuser of index.d.ts.
Napi::Function define_refuser(Napi::Env env);

} // namespace picket
