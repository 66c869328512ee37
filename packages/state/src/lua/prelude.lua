-- Put before every script: reads the authority of one resource and shapes the answer.
-- KEYS[1] is, in every script, the hash understudy:{resource}:authority.
-- Time is the server's own; no caller's clock enters a decision. Needs Redis 7 (scripts replicate by effect).
-- Answer: { 1 or 0, why refused, server time in ms, the authority hash as a flat list }.
local time = redis.call('TIME')
local now_ms = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local kept = {}
do
  local flat = redis.call('HGETALL', KEYS[1])
  for i = 1, #flat, 2 do kept[flat[i]] = flat[i + 1] end
end

local function number(field) return tonumber(kept[field] or '0') end
local function whole(value) return string.format('%.0f', value) end

local function answer(saved, why)
  return { saved, why, whole(now_ms), redis.call('HGETALL', KEYS[1]) }
end
local function saved() return answer(1, '') end
local function refused(why) return answer(0, why) end

-- The coordinator of the claim that has not expired, or nil.
local function claimant()
  if kept.claim_coordinator and number('claim_deadline_ms') > now_ms then return kept.claim_coordinator end
  return nil
end
local function forget_claim()
  redis.call('HDEL', KEYS[1], 'claim_epoch', 'claim_coordinator', 'claim_deadline_ms')
end
-- A set is written "a/1 b/2"; a member is "instance/incarnation".
local function contains(set, member)
  return string.find(' ' .. (set or '') .. ' ', ' ' .. member .. ' ', 1, true) ~= nil
end
