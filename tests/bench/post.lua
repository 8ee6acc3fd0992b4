-- For wrk: POST the lines of a file, in turn, each as a body of JSON. The first argument is the file.
-- At the end one line of JSON is printed; an answer other than 200 is counted as `other`.

local requests, place = {}, 0
local threads = {}
other = 0

function setup(thread)
  table.insert(threads, thread)
end

function init(arguments)
  local made = {}
  local headers = { ["Content-Type"] = "application/json" }
  for body in io.lines(arguments[1]) do
    made[body] = made[body] or wrk.format("POST", nil, headers, body)
    requests[#requests + 1] = made[body]
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end

function response(status)
  if status ~= 200 then
    other = other + 1
  end
end

function done(summary, latency)
  local errors, others = summary.errors, 0
  for _, thread in ipairs(threads) do
    others = others + thread:get("other")
  end
  print(string.format(
    '{"requests":%d,"seconds":%.6f,"p50_ms":%.4f,"p99_ms":%.4f,"other":%d,"failed":%d}',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1000,
    latency:percentile(99) / 1000, others, errors.connect + errors.read + errors.write + errors.timeout
  ))
end
