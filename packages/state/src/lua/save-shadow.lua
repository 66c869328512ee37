-- Guarantees: a shadow's saved state never goes back: no lower epoch, and no lower version of the same incarnation.
-- KEYS[1] authority, KEYS[2] the shadow's hash understudy:{resource}:shadow:<instance>. ARGV[1] epoch, ARGV[2] version,
-- ARGV[3] HLC wall ms, ARGV[4] HLC counter, ARGV[5] root hash, ARGV[6] instance, ARGV[7] incarnation.
if tonumber(ARGV[1]) > number('epoch') then return refused('epoch') end
local shadow = redis.call('HMGET', KEYS[2], 'epoch', 'version', 'wall_ms', 'counter', 'incarnation')
if shadow[1] then
  local order = tonumber(ARGV[1]) - tonumber(shadow[1])
  if order < 0 then return refused('epoch') end
  if shadow[5] == ARGV[7] then
    for i = 2, 4 do
      if order == 0 then order = tonumber(ARGV[i]) - tonumber(shadow[i]) end
    end
    if order < 0 then return refused('version') end
  end
end
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'version', ARGV[2], 'wall_ms', ARGV[3], 'counter', ARGV[4],
  'root', ARGV[5], 'instance', ARGV[6], 'incarnation', ARGV[7])
return saved()
