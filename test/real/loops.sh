# shellcheck shell=bash
# Event loops as Debian packages them: Copas (Lua 5.1 only) and lua-event.

test_loops() {
  run_program "copas, Lua 5.1" 5.1 lua5.1 test/real/copas_echo.lua
  run_program "lua-event, Lua 5.4" 5.4 lua5.4 test/real/event_echo.lua
  run_program "lua-event, Lua 5.1" 5.1 lua5.1 test/real/event_echo.lua
}
