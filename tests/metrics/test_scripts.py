"""Languages whose words no space parts are noticed, others not."""

import pytest

from zoo.metrics.scripts import tokenizer_advice, unspaced_script

TEXTS = {
    "Japanese": ["彼は毎朝公園を走ります。", "WiFiのパスワードは何ですか?"],
    "Chinese": ["我每天早上在公园里跑步。", "请问, 去北京的火车在哪里?"],
    "Thai": ["ฉันวิ่งในสวนสาธารณะทุกเช้า", "รถไฟไปเชียงใหม่อยู่ที่ไหน วันนี้ออกกี่โมง"],
    "Lao": ["ຂ້ອຍແລ່ນຢູ່ໃນສວນສາທາລະນະທຸກໆເຊົ້າ"],
    "Khmer": ["ខ្ញុំរត់នៅក្នុងឧទ្យានរៀងរាល់ព្រឹក។"],
    "Burmese": ["ကျွန်တော်မနက်တိုင်းပန်းခြံမှာပြေးတယ်။"],
    "Tibetan": ["ང་ཚོ་བོད་པ་ཡིན།"],
}
SPACED = {
    "English": ["I run in the park every morning.", "Where is the train to Tokyo (東京)?"],
    "Korean": ["나는 매일 아침 공원에서 달린다.", "서울로 가는 기차는 어디에 있습니까?"],
    "Russian": ["Я бегаю в парке каждое утро."],
    "Vietnamese": ["Tôi chạy bộ trong công viên mỗi sáng."],
    "Hindi": ["मैं हर सुबह पार्क में दौड़ता हूँ।"],
    "segmented Japanese": ["彼 は 毎朝 公園 を 走り ます 。"],
    "one long word": ["Donaudampfschifffahrtsgesellschaft東京"],
    "numbers": ["1234567890123456789", "..."],
    "nothing": [],
}


@pytest.mark.parametrize("script", TEXTS)
def test_a_script_without_spaces_is_named_with_a_tokenizer_for_it(script):
    assert unspaced_script(TEXTS[script]) == script
    advice = tokenizer_advice("13a", TEXTS[script])
    assert "\n" not in advice
    tokenizer = {"Japanese": "ja-mecab, or char", "Chinese": "zh"}.get(script, "char, or flores200")
    assert advice.endswith(f"set task.metric.tokenizer={tokenizer}")
    assert f"in {script} script" in advice
    assert tokenizer_advice("intl", TEXTS[script])
    for able in ("zh", "ja-mecab", "char", "flores200", "none"):
        assert tokenizer_advice(able, TEXTS[script]) is None


@pytest.mark.parametrize("language", SPACED)
def test_a_language_with_spaces_is_left_alone(language):
    assert unspaced_script(SPACED[language]) is None
    assert tokenizer_advice("13a", SPACED[language]) is None
