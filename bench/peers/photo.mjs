// Photos on Node.js, as sharp renders them: POST /photo with a JPEG as body renders three square WebP pictures.

import sharp from 'sharp';

const SIDES = [400, 100, 50];

/** Answers a request with the sizes of the pictures in bytes. */
export async function servePhoto(request, response) {
  const parts = [];
  for await (const part of request) parts.push(part);
  const original = Buffer.concat(parts);
  try {
    const render = (side) => sharp(original).rotate().resize(side, side).webp({ quality: 80 }).toBuffer();
    const pictures = await Promise.all(SIDES.map(render));
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(pictures.map((picture) => picture.length)));
  } catch (error) {
    console.error(error);
    response.writeHead(422).end();
  }
}
