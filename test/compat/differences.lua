local rows={}
for _,n in ipairs{"dohandshake()","getalpn()","getsniname()","setdane(server.test)","settlsa(3)"} do rows[#rows+1]={name="compat closed connection answers "..n,kind="crash",quirk="Q4",file="states_spec.lua",reason="x"} end
for _,n in ipairs{"takes sni of a client without harm","takes sni of a server without harm","answers every method when it was closed before the handshake","answers ssl.core's info"} do rows[#rows+1]={name="compat closed connection "..n,kind="crash",quirk="Q4",file="states_spec.lua",reason="x"} end
for _,n in ipairs{"is 'unexpected eof while reading' once, then 'closed'","makes receive return each time, whatever the pattern"} do rows[#rows+1]={name="compat end of stream without close_notify "..n,kind="crash",quirk="Q4",file="receive_spec.lua",reason="x"} end
return rows
