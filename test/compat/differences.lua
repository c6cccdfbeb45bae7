return {
 {name="compat end of stream without close_notify is 'unexpected eof while reading' once, then 'closed'",kind="crash",quirk="Q3",file="receive_spec.lua",reason="x"},
}
