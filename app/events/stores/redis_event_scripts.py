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
BELL = f"{PREFIX}bell"
THING = 32
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
local function gone()
  local found = call('HMGET', P .. 'trimmed', 'upto', 'why')
  return tonumber(found[1] or 0), found[2] or ''
end
local function ring()
  local update, hint = call('GET', P .. 'last') or 0, call('GET', P .. 'next') or 0
  call('XADD', P .. 'bell', 'MAXLEN', 1, '*', 'update', update, 'notice', hint)
end
local function put(thing_and_body)
  local place = call('INCR', P .. 'next')
  call('HSET', P .. 'notices', place, thing_and_body)
  call('ZADD', P .. 'ready', place, place)
  return place
end
local function free(place)
  local thing = call('HGET', P .. 'held', place)
  if thing then
    call('HDEL', P .. 'held', place)
    if call('HINCRBY', P .. 'busy', thing, -1) <= 0 then call('HDEL', P .. 'busy', thing) end
  end
end
local function mine(place, attempts)
  return call('HEXISTS', P .. 'held', place) == 1 and call('HGET', P .. 'attempts', place) == attempts
end
local function done(place)
  free(place)
  call('ZREM', P .. 'later', place)
  call('HDEL', P .. 'notices', place)
  call('HDEL', P .. 'attempts', place)
  call('HDEL', P .. 'causes', place)
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
    local place = put(ARGV[i + 2])
    if key ~= '' then
      call('HSET', P .. 'unclaimed', key, place)
      call('HSET', P .. 'anonymous', place, key)
    end
  end
  new[#new + 1] = fresh
end
ring()
return new
""")

CLAIM = Script(f"""
local most, ends = tonumber(ARGV[3]), NOW + tonumber(ARGV[4])
for _, place in ipairs(call('ZRANGEBYSCORE', P .. 'later', '-inf', NOW, 'LIMIT', 0, 1000)) do
  free(place)
  call('ZREM', P .. 'later', place)
  call('ZADD', P .. 'ready', place, place)
end
local taken, own, from = {{}}, {{}}, 0
while #taken < most do
  local places = call('ZRANGE', P .. 'ready', from, from + 199)
  if #places == 0 then break end
  for _, place in ipairs(places) do
    if #taken == most then break end
    local hint = call('HGET', P .. 'notices', place)
    local thing = string.sub(hint, 1, {THING})
    if own[thing] or call('HEXISTS', P .. 'busy', thing) == 0 then
      own[thing] = true
      taken[#taken + 1] = {{place, string.sub(hint, {THING + 1}), call('HINCRBY', P .. 'attempts', place, 1), thing}}
    end
  end
  from = from + #places
end
for _, one in ipairs(taken) do
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
return taken
""")

RENEW = Script("""
for i = 4, #ARGV, 2 do
  if mine(ARGV[i], ARGV[i + 1]) and tonumber(call('ZSCORE', P .. 'later', ARGV[i])) > NOW then
    call('ZADD', P .. 'later', NOW + tonumber(ARGV[3]), ARGV[i])
  end
end
""")

RECORD = Script("""
local updates = 4 + 2 * tonumber(ARGV[3])
local told = {log()}
for i = 4, updates - 1, 2 do if not mine(ARGV[i], ARGV[i + 1]) then return told end end
for i = 4, updates - 1, 2 do done(ARGV[i]) end
local position = tonumber(call('GET', P .. 'last') or 0)
for i = updates, #ARGV, 2 do
  position = math.max(position + 1, math.floor(NOW * 1e6))
  call('XADD', P .. 'updates', at(position), 'thing', ARGV[i], 'body', ARGV[i + 1])
  call('HSET', P .. 'latest', ARGV[i], text(position))
  call('INCRBY', P .. 'size', #ARGV[i + 1])
  told[#told + 1] = text(position)
end
call('SET', P .. 'last', text(position))
ring()
return told
""")

POSTPONE = Script("""
if mine(ARGV[3], ARGV[4]) then
  free(ARGV[3])
  call('ZADD', P .. 'later', NOW + tonumber(ARGV[5]), ARGV[3])
  call('HSET', P .. 'causes', ARGV[3], ARGV[6])
end
""")

POSTPONED = Script("""
local found, from = {}, 0
while #found < tonumber(ARGV[3]) do
  local places = call('ZRANGE', P .. 'later', from, from + 199, 'WITHSCORES')
  if #places == 0 then break end
  for i = 1, #places, 2 do
    local place = places[i]
    local cause = #found < tonumber(ARGV[3]) and call('HGET', P .. 'causes', place)
    if cause then
      local notice, attempts = call('HGET', P .. 'notices', place), call('HGET', P .. 'attempts', place)
      found[#found + 1] = {place, notice, attempts, cause, places[i + 1]}
    end
  end
  from = from + #places / 2
end
return found
""")

DEAD_LETTER = Script("""
if mine(ARGV[3], ARGV[4]) then
  local hint = call('HGET', P .. 'notices', ARGV[3])
  call('HSET', P .. 'graves', ARGV[3], cjson.encode({hint, tonumber(ARGV[4]), ARGV[5]}))
  call('ZADD', P .. 'dead', NOW, ARGV[3])
  done(ARGV[3])
end
""")

DEAD_LETTERS = Script("""
local found = {}
local places = call('ZREVRANGE', P .. 'dead', 0, tonumber(ARGV[3]) - 1, 'WITHSCORES')
for i = 1, #places, 2 do found[#found + 1] = {places[i], places[i + 1], call('HGET', P .. 'graves', places[i])} end
return found
""")

REPLAY = Script("""
local places, count = {unpack(ARGV, 4)}, 0
if ARGV[3] == 'all' then places = call('ZRANGE', P .. 'dead', 0, -1) end
table.sort(places, function(one, other) return tonumber(one) < tonumber(other) end)
for _, place in ipairs(places) do
  local grave = call('HGET', P .. 'graves', place)
  if grave then
    put(cjson.decode(grave)[1])
    call('HDEL', P .. 'graves', place)
    call('ZREM', P .. 'dead', place)
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
local id, asked = log(), tonumber(ARGV[4])
local upto, why = gone()
local there = asked == upto or #call('XRANGE', P .. 'updates', at(asked), at(asked)) == 1
local start = (ARGV[3] == id and asked >= upto and there) and asked or upto
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
local went, upto, why = 0, nil, nil
for _, entry in ipairs(call('XRANGE', P .. 'updates', '-', '+', 'COUNT', ARGV[6])) do
  local position = tonumber(string.match(entry[1], '^%d+'))
  local cause = (position < before * 1e6 and 'EXPIRED') or (count > tonumber(ARGV[4]) and 'TOO_MANY')
    or (size > tonumber(ARGV[5]) and 'TOO_LARGE')
  if not cause then break end
  if call('HGET', P .. 'latest', entry[2][2]) == text(position) then call('HDEL', P .. 'latest', entry[2][2]) end
  went, count, size, upto, why = went + 1, count - 1, size - #entry[2][4], position, cause
end
if why then
  call('XTRIM', P .. 'updates', 'MINID', at(upto + 1))
  call('SET', P .. 'size', text(size))
  call('HSET', P .. 'trimmed', 'upto', text(upto), 'why', why)
end
call('ZREMRANGEBYSCORE', P .. 'seen', '-inf', '(' .. before)
for _, place in ipairs(call('ZRANGEBYSCORE', P .. 'dead', '-inf', '(' .. before)) do
  call('ZREM', P .. 'dead', place)
  call('HDEL', P .. 'graves', place)
end
return went
""")
