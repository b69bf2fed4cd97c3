"""Gateways, relays and other vendors, each in its own manner of refusing."""

import json

import pytest

from monitor.access.words import Code


def _relay(message, code="", kind="new_api_error"):
    return json.dumps({"error": {"message": message, "type": kind, "param": "", "code": code}})


RELAYS = [
    (401, _relay("无效的令牌"), Code.INVALID_CREDENTIALS),
    (401, _relay("該令牌已過期"), Code.INVALID_CREDENTIALS),
    (401, _relay("令牌已被禁用"), Code.INVALID_CREDENTIALS),
    (401, _relay("您没有提供，未提供令牌"), Code.INVALID_CREDENTIALS),
    (401, _relay("Your token has expired, sorry"), Code.INVALID_CREDENTIALS),
    (401, _relay("该令牌额度已用尽"), Code.QUOTA_EXHAUSTED),
    (403, _relay("用户额度不足，剩余 0 元"), Code.QUOTA_EXHAUSTED),
    (403, _relay("預扣費失敗"), Code.QUOTA_EXHAUSTED),
    (403, _relay("账户余额不足，请充值后使用"), Code.QUOTA_EXHAUSTED),
    (403, _relay("此令牌无权使用模型 gpt-image-2"), Code.PROJECT_DENIED),
    (403, _relay("This key has no access to model gpt-image-2"), Code.PROJECT_DENIED),
    (403, _relay("无权访问 vip 分组"), Code.PROJECT_DENIED),
    (403, _relay("该用户已被封禁"), Code.ACCOUNT_DEACTIVATED),
    (503, _relay("分组 vip 下模型 gpt-image-2 暂无可用渠道"), Code.MODEL_UNAVAILABLE),
    (
        503,
        _relay("No available channel for gpt-image-2", "model_not_found"),
        Code.MODEL_UNAVAILABLE,
    ),
    (400, _relay("模型 gpt-image-9 不存在"), Code.MODEL_UNAVAILABLE),
    (429, _relay("上游负载已饱和，稍后再来"), Code.SERVER_ERROR),
    (429, _relay("请求过于频繁"), Code.RATE_LIMITED),
    (400, _relay("输入含有敏感词", "sensitive_words_detected"), Code.MODERATION_BLOCKED),
    (403, _relay("您的组织必须先完成身份验证才能使用此模型"), Code.VERIFICATION_REQUIRED),
    (403, _relay("您的組織需要通過驗證"), Code.VERIFICATION_REQUIRED),
    (403, _relay("组织未认证，请联系管理员"), Code.VERIFICATION_REQUIRED),
    (401, _relay("组织编号需要一致，身份验证失败"), Code.INVALID_CREDENTIALS),
    (403, _relay("请先完成手机号验证"), Code.UNRECOGNIZED),
    (500, _relay("bad response status code 500", "bad_response_status_code"), Code.SERVER_ERROR),
    (403, _relay("bad response status code 403", "bad_response_status_code"), Code.UNRECOGNIZED),
    (500, _relay("unknown field", "unknown_parameter"), Code.BAD_REQUEST),
]

VENDORS = [
    (400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}],
     Code.INVALID_CREDENTIALS),
    (403, {"error": {"code": 403, "message": "no", "details": [{"reason": "SERVICE_DISABLED"}]}},
     Code.PROJECT_DENIED),
    (429, {"error": {"code": 429, "message": "enough", "status": "RESOURCE_EXHAUSTED"}},
     Code.RATE_LIMITED),
    (429, {"error": {"message": "Quota exceeded for metric: requests per day, limit: 0"}},
     Code.TIER_UNSUPPORTED),
    (400, {"error": {"message": "User location is not supported for this"}}, Code.REGION_BLOCKED),
    (429, {"error": {"code": "429", "message": "You exceeded call rate limit of your current tier."}},
     Code.RATE_LIMITED),
    (404, {"error": {"code": "DeploymentNotFound", "message": "Nothing of that name."}},
     Code.MODEL_UNAVAILABLE),
    (404, {"error": {"code": "404", "message": "Resource not found"}}, Code.WRONG_ENDPOINT),
    (400, {"error": {"code": "content_filter", "message": "Filtered.",
                     "innererror": {"code": "ResponsibleAIPolicyViolation"}}},
     Code.MODERATION_BLOCKED),
    (400, {"type": "error", "error": {"type": "invalid_request_error",
                                      "message": "Your credit balance is too low, buy some."}},
     Code.QUOTA_EXHAUSTED),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
     Code.SERVER_ERROR),
    (404, {"type": "error", "error": {"type": "not_found_error", "message": "model: acme-9"}},
     Code.MODEL_UNAVAILABLE),
    (403, {"error": {"message": "blocked at the project level", "code": "x"}}, Code.PROJECT_DENIED),
    (400, {"error": {"message": "Your organization has been restricted by acme."}}, Code.ACCOUNT_DEACTIVATED),
    (401, {"error": {"message": "No auth credentials found", "code": 401}}, Code.INVALID_CREDENTIALS),
    (403, {"error": {"message": "Input was flagged. No credits were charged.", "code": 403}},
     Code.MODERATION_BLOCKED),
    (429, {"error": {"message": "Provider returned error", "code": 429,
                     "metadata": {"raw": "acme/one is temporarily rate-limited upstream"}}},
     Code.RATE_LIMITED),
    (400, {"error": {"message": "{'error': 'Invalid model name passed in model=x'}", "code": "400"}},
     Code.MODEL_UNAVAILABLE),
    (400, {"error": {"message": "Budget has been exceeded!", "type": "budget_exceeded"}},
     Code.QUOTA_EXHAUSTED),
    (500, {"error": {"message": "boom", "type": "auth_error", "code": "500"}}, Code.SERVER_ERROR),
    (401, {"message": "No API key found in request"}, Code.INVALID_CREDENTIALS),
    (429, {"message": "API rate limit exceeded"}, Code.RATE_LIMITED),
    (404, {"message": "no Route matched, says acme"}, Code.WRONG_ENDPOINT),
    (404, {"detail": "Not Found"}, Code.WRONG_ENDPOINT),
    (422, {"detail": [{"loc": ["body"], "msg": "field required", "type": "missing"}]},
     Code.BAD_REQUEST),
    (403, {"message": "Forbidden"}, Code.UNRECOGNIZED),
]  # fmt: skip

EDGES = [
    (503, "no healthy upstream", Code.EDGE_ERROR),
    (504, "upstream request timeout", Code.EDGE_ERROR),
    (503, "upstream connect error, says the mesh", Code.EDGE_ERROR),
    (403, "RBAC: access denied", Code.EDGE_ERROR),
    (403, "error code: 1010", Code.EDGE_ERROR),
    (502, "error code: 502", Code.EDGE_ERROR),
    (403, "<!doctype html><title>Just a moment...</title>", Code.EDGE_ERROR),
    (502, "", Code.EDGE_ERROR),
    (403, "", Code.EDGE_ERROR),
    (302, "", Code.EDGE_ERROR),
    (401, "", Code.INVALID_CREDENTIALS),
    (429, "", Code.RATE_LIMITED),
    (500, "", Code.SERVER_ERROR),
    (500, "Oops", Code.SERVER_ERROR),
    (404, "404 page not found", Code.WRONG_ENDPOINT),
    (404, "<html><title>404 Not Found</title></html>", Code.WRONG_ENDPOINT),
    (405, "<html><title>405</title></html>", Code.WRONG_ENDPOINT),
    (429, "<html><title>429</title></html>", Code.RATE_LIMITED),
    (200, '<!doctype html><html><div id="root"></div></html>', Code.WRONG_ENDPOINT),
    (200, "<html><title>Sign in</title></html>", Code.EDGE_ERROR),
    (418, "teapot", Code.UNRECOGNIZED),
]


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://login.example:8443/oauth?token=FAKE", "redirects to https://login.example:8443"),
        ("https://user:FAKE@[2001:db8::1]/v1", "redirects to https://[2001:db8::1]"),
        ("//other.example/v1", "redirects to //other.example"),
        ("/v1/models?token=FAKE", "redirects to another path of the same host"),
        ("http://[/", "redirects to no address"),
        ("mailto:a@acme.example", "redirects to no address"),
    ],
)
def test_a_redirect_says_where_it_leads_by_the_host_alone(read_answer, location, said):
    page = "<html><title>307 Temporary Redirect</title></html>"
    assert read_answer(307, page, {"location": location}).message == said
    assert read_answer(307, "", {"location": location}).code is Code.EDGE_ERROR


@pytest.mark.parametrize(("status", "body", "code"), RELAYS + VENDORS + EDGES)
def test_each_is_understood(read_answer, status, body, code):
    assert read_answer(status, body).code is code


@pytest.mark.parametrize(
    "message",
    [
        "Rate limit reached for acme. Upgrade today at https://acme.example/settings/billing",
        "Rate limit reached. You can increase your rate limit by adding a payment method.",
        "Rate limit exceeded: free-models-per-day. Add 10 credits to unlock more",
    ],
)
def test_a_rate_limit_that_advertises_stays_a_rate_limit(read_answer, error_body, message):
    assert read_answer(429, error_body(message)).code is Code.RATE_LIMITED


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ("Error code: 402 - pay", None, Code.QUOTA_EXHAUSTED),
        ("status code 400: odd", 200, Code.BAD_REQUEST),
        ("HTTP 429: wait", None, Code.RATE_LIMITED),
        ("nothing known", None, Code.UNRECOGNIZED),
    ],
)
def test_a_status_in_prose_counts_where_there_is_no_other(read_answer, body, status, code):
    assert read_answer(status, body).code is code
