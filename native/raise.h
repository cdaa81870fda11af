// Failures as JavaScript errors.
#pragma once

#include <napi.h>

#include "library.h"

namespace picket
{

inline void raise(Napi::Env env, const Failure &failed)
{
    Napi::Error error = Napi::Error::New(env, failed.message);
    error.Set("code", failed.code);
    error.Set("errno", static_cast<double>(failed.error));
    if (!failed.program.empty())
        error.Set("program", failed.program);
    if (!failed.log.empty())
        error.Set("log", failed.log);
    error.ThrowAsJavaScriptException();
}

} // namespace picket
