// Shows the OpenAPI document on the API documentation page. Requests go to our own origin only, as the policy demands.
const place = document.getElementById("api-docs");

SwaggerUIBundle({
  url: place.dataset.document,
  domNode: place,
  presets: [SwaggerUIBundle.presets.apis],
  layout: "BaseLayout",
  deepLinking: true,
  docExpansion: "none", // all the subjects at once; a long list would only be drawn as far as one scrolls
  defaultModelsExpandDepth: 0,
  validatorUrl: null,
  // a key for trying an act out; every click on Execute is a new act
  requestInterceptor: (request) => {
    if (!request.loadSpec && request.method !== "GET" && !request.headers["Idempotency-Key"]) {
      request.headers["Idempotency-Key"] = crypto.randomUUID();
    }
    return request;
  },
});
