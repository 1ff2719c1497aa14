-- For wrk: walks through the recorded requests, over and over.

local requests = {}
for path in io.lines(os.getenv("REQUESTS")) do
    requests[#requests + 1] = wrk.format("GET", path)
end

local at = 0

function request()
    at = at % #requests + 1
    return requests[at]
end
