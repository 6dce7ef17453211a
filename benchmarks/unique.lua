-- For wrk: one GET again and again. "cold" ends each query with a comment of its own, so that no two texts are alike.
-- Arguments: path with the encoded query last, Accept header, "cold" or "warm", a token no other run has.
local path, cold, token, same
local count = 0

function init(args)
  path, cold, token = args[1], args[3] == "cold", args[4]
  wrk.headers["Accept"] = args[2]
  same = wrk.format("GET", path)
end

function request()
  if not cold then return same end
  count = count + 1
  return wrk.format("GET", path .. "%0A%23" .. token .. "-" .. count)
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "microseconds": %d, "bytes": %d, "failed": %d, "p50": %.0f, "p99": %.0f}\n',
    summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout,
    latency:percentile(50), latency:percentile(99)))
end
