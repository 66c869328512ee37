-- Guarantees: the saved position of the primary never goes back, and belongs to the epoch in force.
-- KEYS[1] authority. ARGV[1] epoch, ARGV[2] version, ARGV[3] HLC wall ms, ARGV[4] HLC counter, ARGV[5] root hash.
if tonumber(ARGV[1]) ~= number('epoch') then return refused('epoch') end
local order = 0
for i, field in ipairs({ 'position_epoch', 'position_version', 'position_wall_ms', 'position_counter' }) do
  if order == 0 then order = tonumber(ARGV[i]) - number(field) end
end
if order < 0 then return refused('version') end
redis.call('HSET', KEYS[1], 'position_epoch', ARGV[1], 'position_version', ARGV[2], 'position_wall_ms', ARGV[3],
  'position_counter', ARGV[4], 'position_root', ARGV[5])
return saved()
