// Judges the newest rows of a machine through types that are generated from the service's own description.
import createClient from "openapi-fetch";
import type { components, paths } from "./offnormal.js";

type Result = components["schemas"]["Result"];
type Entry = components["schemas"]["ClassifyResponse"]["results"][number];

const url = process.argv[2] ?? "http://127.0.0.1:8000";
const key = process.env.OFFNORMAL_KEY;
// Of the forms that the service can answer in, the one this client asks for.
type Json = "application/json" | "application/problem+json";
const client = createClient<paths, Json>({ baseUrl: url, headers: key ? { "X-API-Key": key } : {} });

const models = await client.GET("/models");
const name = models.data?.default;
if (!name) throw new Error(models.error?.detail ?? "the service has no default model");
const { data: model, error } = await client.GET("/models/{name}", { params: { path: { name } } });
if (!model) throw new Error(`${error.code}: ${error.detail}`);

// A machine at the centre of its normal operation, but for some noise; and one whose first sensor is not.
const steady = (shift: number): Record<string, number[]> =>
  Object.fromEntries(
    model.sensors.map((sensor, place) => [
      sensor.name,
      Array.from({ length: model.window.steps }, (_, step) =>
        sensor.center + sensor.scale * (0.3 * Math.sin(7 * step + place) + (place === 0 ? shift : 0))),
    ]),
  );

const answer = await client.POST("/classify", {
  body: { windows: [{ id: "steady", readings: steady(0) }, { id: "shifted", readings: steady(12) }], explain: true },
});
if (!answer.data) throw new Error(`${answer.error.code} at ${answer.error.place}: ${answer.error.detail}`);

const isResult = (entry: Entry): entry is Result => "verdict" in entry;
for (const result of answer.data.results.filter(isResult)) {
  const most = result.contributions?.[0];
  console.log(`${result.id}: ${result.verdict}, p = ${result.p_value?.toFixed(4)}, most by ${most?.sensor}`);
}
console.log(`by ${answer.data.model.name} ${answer.data.model.version} (${answer.data.model.sha256})`);
