// A typical backend that signs people in without Deskmint.
const crypto = require('crypto');
const express = require('express');
const jwt = require('jsonwebtoken');

const app = express();
app.use(express.json());
app.post('/v1/configurations/:name', (request, response) => {
  const { user, returnTo } = request.body;
  const now = Math.floor(Date.now() / 1000);
  const token = jwt.sign(
    {
      iat: now,
      jti: crypto.randomUUID(),
      email: user.email,
      name: user.name,
      external_id: user.externalId,
      tags: user.tags.values,
    },
    process.env.SECRET,
  );
  response.json({
    token,
    form: { action: 'https://acme.zendesk.com/access/jwt', fields: { jwt: token, return_to: returnTo } },
  });
});
const server = app.listen(0, '127.0.0.1', () => {
  console.log(`http=127.0.0.1:${server.address().port}`);
  console.log('ready');
});
process.on('SIGINT', () => process.exit(0));
