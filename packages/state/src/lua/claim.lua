-- Guarantees: at most one coordinator holds the claim to the next epoch until its deadline; the same one may resume it.
-- KEYS[1] authority. ARGV[1] epoch to claim, ARGV[2] coordinator, ARGV[3] time to live in ms.
if tonumber(ARGV[1]) ~= number('epoch') + 1 then return refused('epoch') end
local by = claimant()
if by and by ~= ARGV[2] then return refused('claimed') end
redis.call('HSET', KEYS[1], 'claim_epoch', ARGV[1], 'claim_coordinator', ARGV[2],
  'claim_deadline_ms', whole(now_ms + tonumber(ARGV[3])))
return saved()
