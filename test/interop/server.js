// Node's server: node server.js PORT VERSION CERTIFICATE KEY. Answers any HTTP request.
const https = require('https');
const fs = require('fs');
const [port, version, cert, key] = process.argv.slice(2);
https.createServer({
  cert: fs.readFileSync(cert), key: fs.readFileSync(key),
  minVersion: 'TLSv' + version, maxVersion: 'TLSv' + version,
}, (request, response) => response.end('hello back\n')).listen(Number(port), '127.0.0.1');
