"""The event log's operations as Lua scripts: Redis runs each atomically.

Keys, all of one hash slot: `log` id of the log; `last` position of the newest event, `size` of all, `trimmed` up to
where and why; `updates` the stream; `latest` subject -> position; `seen` known hints by time; `next` count of hints;
`notices` number -> subject and body; `attempts`; `ready` numbers in order; `later` leased or postponed numbers by when
that ends; `held` leased number -> subject; `busy` subject -> how many of its hints are leased; `dead` by time, `graves`
their bodies; `causes` of the last failure by number; `unclaimed` what a hint without an id says -> number, `anonymous`
the reverse; `sequences` next number by source, `beyond:SOURCE` those after a gap; `places` offsets and `leads` leases
by name; `bell` one entry, which blocking readers wait for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from app.events.stores.sequences import MAX_OUT_OF_ORDER

PREFIX = "{tradegraph:events}:"
WAKE_KEY = f"{PREFIX}bell"
DIGEST_LENGTH = 32
"""Characters that stand for a thing."""

COMMON = """
local P = KEYS[1]
local call = redis.call
local NOW = tonumber(ARGV[1])
if NOW == 0 then local t = call('TIME'); NOW = tonumber(t[1]) + tonumber(t[2]) / 1e6 end
local function text(number) return string.format('%.0f', number) end
local function at(position) return text(position) .. '-0' end
local function log()
  if call('EXISTS', P .. 'log') == 0 then call('SET', P .. 'log', ARGV[2]) end
  return call('GET', P .. 'log')
end
local function trimmed_to()
  local found = call('HMGET', P .. 'trimmed', 'upto', 'why')
  return tonumber(found[1] or 0), found[2] or ''
end
local function ring()
  local update, hint = call('GET', P .. 'last') or 0, call('GET', P .. 'next') or 0
  call('XADD', P .. 'bell', 'MAXLEN', 1, '*', 'update', update, 'notice', hint)
end
local function put(subject_and_body)
  local number = call('INCR', P .. 'next')
  call('HSET', P .. 'notices', number, subject_and_body)
  call('ZADD', P .. 'ready', number, number)
  return number
end
local function release(number)
  local subject = call('HGET', P .. 'held', number)
  if subject then
    call('HDEL', P .. 'held', number)
    if call('HINCRBY', P .. 'busy', subject, -1) <= 0 then call('HDEL', P .. 'busy', subject) end
  end
end
local function is_leased(number, attempts)
  return call('HEXISTS', P .. 'held', number) == 1 and call('HGET', P .. 'attempts', number) == attempts
end
local function done(number)
  release(number)
  call('ZREM', P .. 'later', number)
  call('HDEL', P .. 'notices', number)
  call('HDEL', P .. 'attempts', number)
  call('HDEL', P .. 'causes', number)
end
"""


@dataclass(frozen=True)
class Script:
    """A script. `ARGV[1]` is the time, 0 for the server's own; `ARGV[2]` an id, in case there is no log yet."""

    body: str
    text: str = field(init=False)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "text", COMMON + self.body)
        object.__setattr__(self, "digest", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


ENQUEUE = Script("""
local new = {}
for i = 3, #ARGV, 3 do
  local digest, key = ARGV[i], ARGV[i + 1]
  local fresh
  if key == '' then fresh = call('ZADD', P .. 'seen', 'NX', NOW, digest)
  else fresh = 1 - call('HEXISTS', P .. 'unclaimed', key) end
  if fresh == 1 then
    local number = put(ARGV[i + 2])
    if key ~= '' then
      call('HSET', P .. 'unclaimed', key, number)
      call('HSET', P .. 'anonymous', number, key)
    end
  end
  new[#new + 1] = fresh
end
ring()
return new
""")

CLAIM = Script(f"""
local most, ends = tonumber(ARGV[3]), NOW + tonumber(ARGV[4])
for _, number in ipairs(call('ZRANGEBYSCORE', P .. 'later', '-inf', NOW, 'LIMIT', 0, 1000)) do
  release(number)
  call('ZREM', P .. 'later', number)
  call('ZADD', P .. 'ready', number, number)
end
local claimed, own, from = {{}}, {{}}, 0
while #claimed < most do
  local numbers = call('ZRANGE', P .. 'ready', from, from + 199)
  if #numbers == 0 then break end
  for _, number in ipairs(numbers) do
    if #claimed == most then break end
    local hint = call('HGET', P .. 'notices', number)
    local subject = string.sub(hint, 1, {DIGEST_LENGTH})
    if own[subject] or call('HEXISTS', P .. 'busy', subject) == 0 then
      own[subject] = true
      local attempts = call('HINCRBY', P .. 'attempts', number, 1)
      claimed[#claimed + 1] = {{number, string.sub(hint, {DIGEST_LENGTH + 1}), attempts, subject}}
    end
  end
  from = from + #numbers
end
for _, one in ipairs(claimed) do
  call('ZREM', P .. 'ready', one[1])
  local key = call('HGET', P .. 'anonymous', one[1])
  if key then
    call('HDEL', P .. 'anonymous', one[1])
    call('HDEL', P .. 'unclaimed', key)
  end
  call('ZADD', P .. 'later', ends, one[1])
  call('HSET', P .. 'held', one[1], one[4])
  call('HINCRBY', P .. 'busy', one[4], 1)
end
return claimed
""")

RENEW = Script("""
for i = 4, #ARGV, 2 do
  if is_leased(ARGV[i], ARGV[i + 1]) and tonumber(call('ZSCORE', P .. 'later', ARGV[i])) > NOW then
    call('ZADD', P .. 'later', NOW + tonumber(ARGV[3]), ARGV[i])
  end
end
""")

RECORD = Script("""
local updates = 4 + 2 * tonumber(ARGV[3])
local result = {log()}
for i = 4, updates - 1, 2 do if not is_leased(ARGV[i], ARGV[i + 1]) then return result end end
for i = 4, updates - 1, 2 do done(ARGV[i]) end
local position = tonumber(call('GET', P .. 'last') or 0)
for i = updates, #ARGV, 2 do
  position = math.max(position + 1, math.floor(NOW * 1e6))
  call('XADD', P .. 'updates', at(position), 'thing', ARGV[i], 'body', ARGV[i + 1])
  call('HSET', P .. 'latest', ARGV[i], text(position))
  call('INCRBY', P .. 'size', #ARGV[i + 1])
  result[#result + 1] = text(position)
end
call('SET', P .. 'last', text(position))
ring()
return result
""")

POSTPONE = Script("""
if is_leased(ARGV[3], ARGV[4]) then
  release(ARGV[3])
  call('ZADD', P .. 'later', NOW + tonumber(ARGV[5]), ARGV[3])
  call('HSET', P .. 'causes', ARGV[3], ARGV[6])
end
""")

POSTPONED = Script("""
local found, from = {}, 0
while #found < tonumber(ARGV[3]) do
  local numbers = call('ZRANGE', P .. 'later', from, from + 199, 'WITHSCORES')
  if #numbers == 0 then break end
  for i = 1, #numbers, 2 do
    local number = numbers[i]
    local cause = #found < tonumber(ARGV[3]) and call('HGET', P .. 'causes', number)
    if cause then
      local notice, attempts = call('HGET', P .. 'notices', number), call('HGET', P .. 'attempts', number)
      found[#found + 1] = {number, notice, attempts, cause, numbers[i + 1]}
    end
  end
  from = from + #numbers / 2
end
return found
""")

DEAD_LETTER = Script("""
if is_leased(ARGV[3], ARGV[4]) then
  local hint = call('HGET', P .. 'notices', ARGV[3])
  call('HSET', P .. 'graves', ARGV[3], cjson.encode({hint, tonumber(ARGV[4]), ARGV[5]}))
  call('ZADD', P .. 'dead', NOW, ARGV[3])
  done(ARGV[3])
end
""")

DEAD_LETTERS = Script("""
local found = {}
local numbers = call('ZREVRANGE', P .. 'dead', 0, tonumber(ARGV[3]) - 1, 'WITHSCORES')
for i = 1, #numbers, 2 do found[#found + 1] = {numbers[i], numbers[i + 1], call('HGET', P .. 'graves', numbers[i])} end
return found
""")

REPLAY = Script("""
local numbers, count = {unpack(ARGV, 4)}, 0
if ARGV[3] == 'all' then numbers = call('ZRANGE', P .. 'dead', 0, -1) end
table.sort(numbers, function(one, other) return tonumber(one) < tonumber(other) end)
for _, number in ipairs(numbers) do
  local grave = call('HGET', P .. 'graves', number)
  if grave then
    put(cjson.decode(grave)[1])
    call('HDEL', P .. 'graves', number)
    call('ZREM', P .. 'dead', number)
    count = count + 1
  end
end
ring()
return count
""")

LATEST = Script("""
local position = call('HGET', P .. 'latest', ARGV[3])
if not position then return false end
return call('XRANGE', P .. 'updates', at(tonumber(position)), at(tonumber(position)))[1][2][4]
""")

NEWEST = Script("""
return {log(), call('XREVRANGE', P .. 'updates', '+', '-', 'COUNT', ARGV[3])}
""")

END = Script("""
return {log(), call('GET', P .. 'last') or '0'}
""")

READ = Script("""
local id, requested = log(), tonumber(ARGV[4])
local upto, why = trimmed_to()
local exists = requested == upto or #call('XRANGE', P .. 'updates', at(requested), at(requested)) == 1
local start = (ARGV[3] == id and requested >= upto and exists) and requested or upto
local found = call('XRANGE', P .. 'updates', at(start + 1), '+', 'COUNT', ARGV[5])
return {id, text(upto), why, text(start), found}
""")

ACQUIRE_LEASE = Script("""
local held = call('HGET', P .. 'leads', ARGV[3])
if held then
  local ends, worker = string.match(held, '^(%S+) (.*)$')
  if worker ~= ARGV[4] and tonumber(ends) > NOW then return 0 end
end
call('HSET', P .. 'leads', ARGV[3], string.format('%.6f', NOW + tonumber(ARGV[5])) .. ' ' .. ARGV[4])
return 1
""")

OBSERVE_SEQUENCE = Script(f"""
local beyond = P .. 'beyond:' .. ARGV[3]
local next, before = tonumber(call('HGET', P .. 'sequences', ARGV[3]) or nil), call('ZCARD', beyond)
for i = 4, #ARGV do
  local number = tonumber(ARGV[i])
  if not next or number == next then next = number + 1
  elseif number > next then call('ZADD', beyond, number, ARGV[i]) end
end
while true do
  local first = call('ZRANGE', beyond, 0, 0)[1]
  if not first or tonumber(first) ~= next then break end
  call('ZREM', beyond, first)
  next = next + 1
end
if call('ZCARD', beyond) > {MAX_OUT_OF_ORDER} then
  next = tonumber(call('ZRANGE', beyond, -1, -1)[1]) + 1
  call('DEL', beyond)
end
call('HSET', P .. 'sequences', ARGV[3], text(next))
return call('ZCARD', beyond) > before and 1 or 0
""")

RESET_SEQUENCE = Script("""
local beyond = P .. 'beyond:' .. ARGV[3]
local last = call('ZRANGE', beyond, -1, -1)[1]
if last then call('HSET', P .. 'sequences', ARGV[3], text(tonumber(last) + 1)) end
call('DEL', beyond)
""")

TRIM = Script("""
local before = NOW - tonumber(ARGV[3])
local count, size = call('XLEN', P .. 'updates'), tonumber(call('GET', P .. 'size') or 0)
local trimmed, upto, why = 0, nil, nil
for _, entry in ipairs(call('XRANGE', P .. 'updates', '-', '+', 'COUNT', ARGV[6])) do
  local position = tonumber(string.match(entry[1], '^%d+'))
  local cause = (position < before * 1e6 and 'EXPIRED') or (count > tonumber(ARGV[4]) and 'TOO_MANY')
    or (size > tonumber(ARGV[5]) and 'TOO_LARGE')
  if not cause then break end
  if call('HGET', P .. 'latest', entry[2][2]) == text(position) then call('HDEL', P .. 'latest', entry[2][2]) end
  trimmed, count, size, upto, why = trimmed + 1, count - 1, size - #entry[2][4], position, cause
end
if why then
  call('XTRIM', P .. 'updates', 'MINID', at(upto + 1))
  call('SET', P .. 'size', text(size))
  call('HSET', P .. 'trimmed', 'upto', text(upto), 'why', why)
end
call('ZREMRANGEBYSCORE', P .. 'seen', '-inf', '(' .. before)
for _, number in ipairs(call('ZRANGEBYSCORE', P .. 'dead', '-inf', '(' .. before)) do
  call('ZREM', P .. 'dead', number)
  call('HDEL', P .. 'graves', number)
end
return trimmed
""")
