// A seller's server, as the document about dynamic_webhook has it, written for Express: it checks the v2 signature, and gives one
// token per key. What it uses of Express is below. The first answer to each key is lost on the way, so that the call comes again.
import crypto from "node:crypto";
import http from "node:http";

express.json = parsesJson;

const app = express();
app.use(express.json({
  verify: (req, _res, buf) => {
    req.rawBody = buf.toString("utf8");
  },
}));
app.use(losesFirstAnswers());

const issuedTokens = new Map();

app.post("/shoppex/dynamic", async (req, res) => {
  const rawBody = req.rawBody ?? JSON.stringify(req.body);
  const signature = req.header("x-shoppex-signature-v2");
  const deliveryId = req.header("x-shoppex-delivery-id");
  const timestamp = req.header("x-shoppex-timestamp");
  if (!signature || !deliveryId || !timestamp) return res.status(401).json({ error: "Missing signature" });
  const parts = Object.fromEntries(signature.split(",").map((part) => {
    const [key, value] = part.trim().split("=");
    return [key, value ?? ""];
  }));
  if (parts.v1 !== "" || parts.t !== timestamp || Math.abs(Math.floor(Date.now() / 1000) - Number(timestamp)) > 300) {
    return res.status(401).json({ error: "Invalid signature" });
  }
  const expected = crypto
    .createHmac("sha256", process.env.SHOPPEX_DYNAMIC_WEBHOOK_SECRET)
    .update(`${deliveryId}.${timestamp}.${rawBody}`)
    .digest("hex");
  // Throws, and so answers 500, for a digest of another length.
  if (!crypto.timingSafeEqual(Buffer.from(parts.h), Buffer.from(expected))) {
    return res.status(401).json({ error: "Invalid signature" });
  }
  const key = String(req.header("x-shoppex-idempotency-key") ?? req.body.idempotencyKey ?? req.body.idempotency_key ?? "").trim();
  if (!key) return res.status(400).json({ error: "Missing idempotency key" });
  if (!issuedTokens.has(key)) {
    issuedTokens.set(key, { token: `dyn_${crypto.randomUUID()}`, expires_at: "2026-12-31T23:59:59.000Z" });
  }
  return res.json({
    data: { service_text: "Use this token in the bot.", dynamic_response: issuedTokens.get(key), deliveryType: "DYNAMIC", count: 1 },
  });
});

app.get("/shoppex/dynamic", (_req, res) => res.json([...issuedTokens.values()]));
const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));

// What is lost on the way: the first answer to each key, after the handler gave it.
function losesFirstAnswers() {
  const lost = new Set();
  return (req, res, next) => {
    const key = req.header("x-shoppex-idempotency-key"), send = res.json;
    res.json = (body) => {
      if (req.method !== "POST" || res.code !== 200 || lost.has(key)) return send(body);
      lost.add(key);
      return res.status(503).send("");
    };
    next();
  };
}

// As much of Express as the handler needs, behaving as Express does: JSON is parsed only where it is called so, after `verify` saw its
// bytes; names of headers have no case; what a handler throws, at once or later, is a 500; an unknown path is a 404.
function express() {
  const layers = [];
  const serve = async (req, res) => {
    const path = new URL(req.url, "http://local").pathname;
    for (const layer of layers) {
      if (layer.method && (layer.method !== req.method || layer.path !== path)) continue;
      let goesOn = false;
      await layer.run(req, res, () => { goesOn = true; });
      if (!goesOn) return;
    }
    res.status(404).send("Not Found");
  };
  const answering = (req, res) => {
    req.header = (name) => req.headers[name.toLowerCase()];
    res.code = 200;
    res.status = (code) => Object.assign(res, { code });
    res.send = (text, type = "text/html; charset=utf-8") => res.writeHead(res.code, { "Content-Type": type }).end(text);
    res.json = (body) => res.send(JSON.stringify(body), "application/json; charset=utf-8");
    serve(req, res).catch((error) => res.status(error.status ?? 500).send(String(error)));
  };
  return {
    use: (run) => layers.push({ run }),
    get: (path, run) => layers.push({ method: "GET", path, run }),
    post: (path, run) => layers.push({ method: "POST", path, run }),
    listen: (...where) => http.createServer(answering).listen(...where),
  };
}

function parsesJson({ verify }) {
  return async (req, res, next) => {
    req.body = {};
    if (/^application\/json\b/.test(req.header("content-type") ?? "")) {
      const chunks = [];
      for await (const chunk of req) chunks.push(chunk);
      const bytes = Buffer.concat(chunks);
      verify(req, res, bytes);
      try {
        req.body = JSON.parse(bytes.toString("utf8"));
      } catch (error) {
        throw Object.assign(error, { status: 400 });
      }
    }
    next();
  };
}
