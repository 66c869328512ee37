-- Holds the only connection of each backend's plug for ever, and takes it again 20 ms after it is lost.
-- UNDERSTUDY_PLUGS: the addresses of the plug frontends.
local function hold(address)
  while true do
    local socket = core.tcp()
    socket:settimeout(2000000)
    if socket:connect(address) then
      socket:send("GET /__plug HTTP/1.1\r\nHost: plug\r\n\r\n")
      socket:receive("*l")
    end
    socket:close()
    core.msleep(20)
  end
end
core.register_action("pause", { "http-req" }, function() core.msleep(20) end)
for address in os.getenv("UNDERSTUDY_PLUGS"):gmatch("%S+") do
  core.register_task(function() hold(address) end)
end
